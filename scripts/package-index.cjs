// Replaces the checkout's index.ts in a package. pi's loader, jiti, transpiles it at the first start after an install,
// with a Babel that nothing has warmed up: an `import()` in here costs that start twenty milliseconds, and types and
// exports a few each. So this is plain JavaScript, everything else is in the bundle, and pi's own packages come through
// the `import` that jiti passes beside `require`. An absolute path is found without jiti's search. Never rejects, since
// pi does not start if an extension fails to.
module.exports = async function multicodex(pi) {
	if (process.env.PI_MULTICODEX_DISABLE === "1") return;
	try {
		await require(`${__dirname}/dist/multicodex.cjs`).start(pi, require.import);
	} catch (error) {
		// The error's message may quote anything.
		process.stderr.write(
			`pi-multicodex could not start: ${error?.name ?? "unknown error"}. pi continues without it.\n`,
		);
	}
};
