export default { srcDir: "docs", outDir: "site", ignoreDeadLinks: true };
