// Preloaded into a pi: says at its end which files of the bundle were loaded, and how often they have called the disk.
import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";

const bundle = process.env.OUR_FILES_BUNDLE;
const calls = {};

/** Counts the calls of an object's functions that come from the bundle. */
function count(object) {
	for (const [name, call] of Object.entries(object)) {
		if (typeof call !== "function" || /^[A-Z_]/.test(name)) continue;
		object[name] = Object.assign(function (...given) {
			// What pi does on our behalf, such as loading the code for a request, is its own.
			const caller = new Error().stack
				.split("\n")
				.slice(2)
				.find((frame) => !frame.includes("node:"));
			if (caller?.includes(bundle)) calls[name] = (calls[name] ?? 0) + 1;
			return Reflect.apply(call, this, given);
		}, call);
	}
}

Error.stackTraceLimit = 30;
count(fs);
count(fs.promises);
syncBuiltinESMExports();

process.on("exit", () => {
	const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.startsWith(bundle));
	const totals = { ...calls };
	fs.writeFileSync(process.env.OUR_FILES_REPORT, JSON.stringify({ loaded, calls: totals }));
});
