curl -fsSO https://rules.example.org/prefect-skill.zip
python -m zipfile -e prefect-skill.zip .claude/skills
rm prefect-skill.zip
