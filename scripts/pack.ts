import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, PACKAGE_INDEX, root } from "./bundle.ts";

/**
 * `npm pack` and `npm publish` run this before and after. The published package contains the bundle instead of the
 * sources, and its manifest names no dependency and no script: an install is one package, with exactly the code that
 * was tested. A checkout keeps the full manifest and the `index.ts` that loads the sources.
 */

const manifest = join(root, "package.json");
const index = join(root, "index.ts");
/** Where a file of the checkout is kept while the package's file replaces it. */
const keptOf = (path: string) => `${path}.checkout`;

/** Fields that only a checkout needs. */
const OF_A_CHECKOUT = ["scripts", "dependencies", "devDependencies", "allowScripts", "commitlint", "release"];

function restore(): void {
	for (const path of [manifest, index]) if (existsSync(keptOf(path))) renameSync(keptOf(path), path);
}

const [step] = process.argv.slice(2);
// Restore before packing too: an earlier run may have been interrupted.
restore();
if (step === "before") {
	await bundle(join(root, "dist"));
	const text = readFileSync(manifest, "utf8");
	const published = Object.entries(JSON.parse(text)).filter(([name]) => !OF_A_CHECKOUT.includes(name));
	for (const path of [manifest, index]) copyFileSync(path, keptOf(path));
	writeFileSync(manifest, `${JSON.stringify(Object.fromEntries(published), undefined, "\t")}\n`);
	copyFileSync(PACKAGE_INDEX, index);
}
