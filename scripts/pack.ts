import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle, root } from "./bundle.ts";

/**
 * `npm pack` and `npm publish` run this before and after. What is published holds the bundle in place of the sources,
 * so its manifest names no dependency and no script: an install is one package, with exactly the code that was tested.
 * A checkout keeps the manifest with everything that the sources need.
 */

const manifest = join(root, "package.json");
/** The manifest of the checkout while the other one is in its place. */
const kept = join(root, "package.json.checkout");

/** What only a checkout needs. */
const OF_A_CHECKOUT = ["scripts", "dependencies", "devDependencies", "allowScripts", "commitlint", "release"];

function restore(): void {
	if (existsSync(kept)) renameSync(kept, manifest);
}

const [step] = process.argv.slice(2);
// Also before packing: an earlier one may have been interrupted.
restore();
if (step === "before") {
	await bundle(join(root, "dist"));
	const text = readFileSync(manifest, "utf8");
	const published = Object.entries(JSON.parse(text)).filter(([name]) => !OF_A_CHECKOUT.includes(name));
	writeFileSync(kept, text);
	writeFileSync(manifest, `${JSON.stringify(Object.fromEntries(published), undefined, "\t")}\n`);
}
