import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, PACKAGE_INDEX, root } from "./bundle.ts";

/**
 * `npm pack` and `npm publish` run this before and after. What is published holds the bundle in place of the sources,
 * so its manifest names no dependency and no script: an install is one package, with exactly the code that was tested.
 * A checkout keeps the manifest with everything that the sources need, and the `index.ts` that loads them.
 */

const manifest = join(root, "package.json");
const index = join(root, "index.ts");
/** Where a file of the checkout is while the package's is in its place. */
const keptOf = (path: string) => `${path}.checkout`;

/** What only a checkout needs. */
const OF_A_CHECKOUT = ["scripts", "dependencies", "devDependencies", "allowScripts", "commitlint", "release"];

function restore(): void {
	for (const path of [manifest, index]) if (existsSync(keptOf(path))) renameSync(keptOf(path), path);
}

const [step] = process.argv.slice(2);
// Also before packing: an earlier one may have been interrupted.
restore();
if (step === "before") {
	await bundle(join(root, "dist"));
	const text = readFileSync(manifest, "utf8");
	const published = Object.entries(JSON.parse(text)).filter(([name]) => !OF_A_CHECKOUT.includes(name));
	for (const path of [manifest, index]) copyFileSync(path, keptOf(path));
	writeFileSync(manifest, `${JSON.stringify(Object.fromEntries(published), undefined, "\t")}\n`);
	copyFileSync(PACKAGE_INDEX, index);
}
