import starlight from "@astrojs/starlight";
import { defineConfig } from "astro/config";

export default defineConfig({ outDir: "site", integrations: [starlight({ title: "Peer" })] });
