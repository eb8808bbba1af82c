// What a package has in the place of the checkout's index.ts. pi's loader, jiti, transpiles it at the first start after
// an install, with a Babel that nothing has warmed up: an `import()` in here takes twenty milliseconds of that start,
// types and exports a few each. So it is plain JavaScript, all else is in the bundle, and pi's own packages come by the
// `import` that jiti has beside `require`. Never rejects: pi does not start when an extension fails to.
module.exports = async function multicodex(pi) {
	if (process.env.PI_MULTICODEX_DISABLE === "1") return;
	try {
		await require("./dist/multicodex.cjs").start(pi, require.import);
	} catch (error) {
		// Its message may quote anything.
		process.stderr.write(`pi-multicodex could not start: ${error?.name ?? "unknown error"}. pi goes on without it.\n`);
	}
};
