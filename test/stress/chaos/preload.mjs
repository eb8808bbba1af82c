/**
 * Loaded into a process of the chaos before anything else (`--import`). Gives the extension the packages of the pi that
 * `CHAOS_HOST` names, as that host does; of its largest one, which a stream function has no use for, only what the
 * extension asks of it. With `CHAOS_BREAK` a guard of the source is taken out as it is read, on no disk: see
 * `breaks.json`.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const root = new URL("../../../", import.meta.url);
const PACKAGES = {
	"0.73.1": ["node_modules/@mariozechner/pi-ai/dist/index.js", "node_modules/@mariozechner/pi-tui/dist/index.js"],
	"0.87.1": ["node_modules/@earendil-works/pi-ai/dist/compat.js", "node_modules/@earendil-works/pi-tui/dist/index.js"],
};
const [ai, tui] = PACKAGES[process.env.CHAOS_HOST];
const HOST = {
	"@mariozechner/pi-ai": new URL("witness.mjs", import.meta.url).href,
	"chaos:pi-ai": new URL(ai, root).href,
	"@mariozechner/pi-tui": new URL(tui, root).href,
	"@mariozechner/pi-coding-agent": new URL("host.mjs", import.meta.url).href,
};

const breaks = JSON.parse(readFileSync(new URL("breaks.json", import.meta.url), "utf8"));
const broken = process.env.CHAOS_BREAK ? breaks[process.env.CHAOS_BREAK].edits : [];

registerHooks({
	resolve: (specifier, context, next) => {
		const url = HOST[specifier];
		return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
	},
	load: (url, context, next) => {
		const loaded = next(url, context);
		const edits = broken.filter(({ file }) => url === new URL(file, root).href);
		if (edits.length === 0) return loaded;
		let source = String(loaded.source);
		for (const { file, from, to } of edits) {
			if (!source.includes(from)) throw new Error(`${file} has no ${JSON.stringify(from)} to take out`);
			source = source.replace(from, to);
		}
		return { ...loaded, source };
	},
});
