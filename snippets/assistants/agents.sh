cat .claude/skills/prefect-best-practices/AGENTS.md >> AGENTS.md
