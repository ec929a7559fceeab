"""Durable truth in SQL: tables, migrations, transactions."""
