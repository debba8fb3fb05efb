import { docsSchema } from "@astrojs/starlight/schema";
import { defineCollection } from "astro:content";
import { glob } from "astro/loaders";

const loader = glob({ base: "docs", pattern: "**/*.md" });
export const collections = { docs: defineCollection({ loader, schema: docsSchema() }) };
