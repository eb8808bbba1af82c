import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, PACKAGE_INDEX } from "../../scripts/bundle.ts";

/** Writes into `folder` what a person who installs the package gets of it that runs. Returns its `index.ts`. */
export async function packageInto(folder: string): Promise<string> {
	mkdirSync(folder, { recursive: true });
	await bundle(join(folder, "dist"));
	cpSync(PACKAGE_INDEX, join(folder, "index.ts"));
	writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
	return join(folder, "index.ts");
}
