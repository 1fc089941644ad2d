"""What the analytics runs on: settings, the warehouse and its roles, the embedded stack."""
