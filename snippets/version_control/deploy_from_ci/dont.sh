# Ada, in her own clone. The commit is not pushed, and no test has run.
git commit --all --message "Report the revenue in dollars"
prefect --no-prompt deploy --all
