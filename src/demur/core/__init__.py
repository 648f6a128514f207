"""The rules, pure: functions over values. Read terms, schema, intake, resolution, cel, policy, decision, in order."""
