"""Brings Superset's own database to the state of this project: schema, roles, users, dashboards.

    python bootstrap.py [ASSETS]

The files below ASSETS (default: assets/ next to this file) are the dashboards. They replace those
of earlier imports, and assets whose file is gone are removed. Dashboards that somebody made in
Superset are not changed. Safe to repeat.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

ASSETS = Path(__file__).parent / "assets"
ADMIN, VIEWER = "admin", "viewer"
VIEWER_ROLE = "Viewer"
# The requests of a browser that shows a dashboard. Data come with the dashboard, whose roles may
# see what its charts show. So no permission on a data set or a database is needed.
VIEWER_PERMISSIONS = (
    ("menu_access", "Dashboards"),
    ("can_read", "Dashboard"),
    ("can_dashboard", "Superset"),
    ("can_read", "Chart"),
    ("can_explore_json", "Superset"),
    ("can_slice", "Superset"),
    ("can_time_range", "Api"),
    ("can_read", "DashboardFilterStateRestApi"),
    ("can_write", "DashboardFilterStateRestApi"),
    ("can_read", "CurrentUserRestApi"),
    ("can_read", "SecurityRestApi"),
    ("can_log", "Superset"),
)


def main() -> int:
    os.environ.setdefault(
        "SUPERSET_CONFIG_PATH", str(Path(__file__).with_name("superset_config.py"))
    )
    from superset.app import create_app

    app = create_app()
    with app.app_context():
        upgrade()
        admin = ensure_users()
        contents = read_assets(Path(sys.argv[1]) if sys.argv[1:] else ASSETS)
        removed = import_assets(contents, admin)
    count = sum(name.startswith("dashboards/") for name in contents)
    charts = sum(name.startswith("charts/") for name in contents)
    print(f"Superset has {count} dashboards and {charts} charts.")
    if removed:
        print(f"Removed, because their files are gone: {', '.join(removed)}")
    return 0


def upgrade() -> None:
    """Migrate Superset's schema and built-in roles to the installed version."""
    from flask_migrate import upgrade as migrate
    from superset import appbuilder, security_manager

    migrate(directory=str(Path(sys.modules["superset"].__file__ or "").parent / "migrations"))
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()


def ensure_users() -> Any:
    """Create the role Viewer with exactly its permissions, and both users with their passwords.

    Returns the admin.
    """
    from superset import db, security_manager

    role = security_manager.add_role(VIEWER_ROLE)
    permissions = [security_manager.find_permission_view_menu(*pair) for pair in VIEWER_PERMISSIONS]
    if missing := [
        pair for pair, found in zip(VIEWER_PERMISSIONS, permissions, strict=True) if found is None
    ]:
        raise SystemExit(
            f"error: this Superset has no permission {missing}. "
            f"Correct VIEWER_PERMISSIONS in {__file__}."
        )
    role.permissions = permissions
    users = {}
    for name, role_name, password in (
        (ADMIN, "Admin", os.environ["SUPERSET_ADMIN_PASSWORD"]),
        (VIEWER, VIEWER_ROLE, os.environ["SUPERSET_VIEWER_PASSWORD"]),
    ):
        user = security_manager.find_user(name)
        if user is None:
            of_role = security_manager.find_role(role_name)
            user = security_manager.add_user(
                name, name.title(), "", f"{name}@localhost", of_role, password
            )
        else:
            security_manager.reset_password(user.id, password)
        users[name] = user
    db.session.commit()
    return users[ADMIN]


def read_assets(directory: Path) -> dict[str, str]:
    """The text of each YAML file below `directory`, by its path there, for Superset's importer."""
    contents = {
        str(path.relative_to(directory)): path.read_text("utf-8")
        for path in sorted(directory.rglob("*.yaml"))
    }
    if not contents:
        raise SystemExit(f"error: no assets in {directory}. Check out the project again.")
    return contents


def import_assets(contents: dict[str, str], admin: Any) -> list[str]:
    """Import the assets, show the dashboards to viewers, and remove assets without a file.

    Returns the names of the removed assets.
    """
    from superset import db, security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice
    from superset.utils.core import override_user

    removed = []
    with override_user(admin):
        ImportAssetsCommand(contents).run()
        ours = {
            yaml.safe_load(text)["uuid"]
            for name, text in contents.items()
            if name != "metadata.yaml"
        }
        # Each kind before the kinds that it depends on.
        for model in (Dashboard, Slice, SqlaTable, Database):
            for asset in db.session.query(model).filter(model.uuid.in_(ours)):
                # Superset then refuses changes, which the next import would undo.
                asset.is_managed_externally = True
            for asset in db.session.query(model).filter(
                model.is_managed_externally, model.uuid.not_in(ours)
            ):
                removed.append(str(asset))
                db.session.delete(asset)
            db.session.flush()
        for dashboard in db.session.query(Dashboard).filter(Dashboard.uuid.in_(ours)):
            dashboard.roles = [security_manager.find_role(VIEWER_ROLE)]
        db.session.commit()
    return removed


if __name__ == "__main__":
    sys.exit(main())
