import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../bundle.ts";
import { stamped } from "./changelog.ts";

/** Gives what stands under `[Unreleased]` the version that is released: `stamp-changelog.ts <version>`. */
const [version = ""] = process.argv.slice(2);
const path = join(root, "CHANGELOG.md");
writeFileSync(path, stamped(readFileSync(path, "utf8"), version, new Date()));
