import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import { readTextNow } from "../platform/files/regular-file.ts";
import { parseJson } from "../platform/json.ts";

const manifestSchema = z.object({ version: z.string() });

/** The version in the package's manifest: above the bundle that this source becomes a part of, and above the source. */
export function versionOfPackage(): string {
	const here = dirname(fileURLToPath(import.meta.url));
	const root = here.endsWith("dist") ? join(here, "..") : join(here, "../..");
	return parseJson(manifestSchema, readTextNow(join(root, "package.json")))?.version ?? "unknown";
}
