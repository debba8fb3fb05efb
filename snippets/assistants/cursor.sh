mkdir -p .cursor/rules
cp .claude/skills/prefect-best-practices/prefect-best-practices.mdc .cursor/rules
