import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../bundle.ts";
import { stamped } from "./changelog.ts";

/** Moves everything under `[Unreleased]` to the released version: `stamp-changelog.ts <version>`. */
const [version = ""] = process.argv.slice(2);
const path = join(root, "CHANGELOG.md");
writeFileSync(path, stamped(readFileSync(path, "utf8"), version, new Date()));
