// Preloaded into a pi: says at its end which files of the bundle were loaded, how often they have called the disk, and so on.
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

/** Schemas that the bundle has built by the end: zod calls this for each one, whoever has it. */
let schemas = 0;
globalThis.__zod_globalConfig = {
	...globalThis.__zod_globalConfig,
	postProcessor: () => {
		if (new Error().stack.includes(bundle)) schemas += 1;
	},
};

Error.stackTraceLimit = 30;
count(fs);
count(fs.promises);
syncBuiltinESMExports();

process.on("exit", () => {
	const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.startsWith(bundle));
	const totals = { ...calls };
	const builtIns = process.moduleLoadList.flatMap((each) => /^NativeModule (.*)/.exec(each)?.[1] ?? []);
	fs.writeFileSync(process.env.OUR_FILES_REPORT, JSON.stringify({ loaded, calls: totals, schemas, builtIns }));
});
