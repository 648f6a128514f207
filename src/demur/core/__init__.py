"""The rules: pure functions over values; read canonical, terms, schema, conform, intake, resolution, cel, policy, decision in this order."""
