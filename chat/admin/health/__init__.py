"""The health page: services, recent errors, server processes, and what an admin should change."""
