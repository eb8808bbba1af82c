import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import { readTextNow } from "../platform/files/regular-file.ts";
import { parseJson } from "../platform/json.ts";

const manifestSchema = z.object({ version: z.string() });

/** Returns the version in the package's manifest, which is above both the bundle and this source file. */
export function versionOfPackage(): string {
	const here = dirname(fileURLToPath(import.meta.url));
	const root = here.endsWith("dist") ? join(here, "..") : join(here, "../..");
	return parseJson(manifestSchema, readTextNow(join(root, "package.json")))?.version ?? "unknown";
}
