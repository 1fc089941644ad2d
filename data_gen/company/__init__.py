"""The synthetic company: rules in, the files of any day out, each day on its own."""
