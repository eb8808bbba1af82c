/**
 * Loaded into a process of the chaos before anything else (`--import`). Gives the extension the pi-ai and pi-tui of the
 * pi that `CHAOS_HOST` names, as that host does; of its largest one, which a stream function has no use for, only what
 * the extension asks of it. With `CHAOS_BREAK` a guard of the source is taken out as it is read, on no disk: see
 * `breaks.json`, or the file that `CHAOS_BREAKS` names.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const root = new URL("../../../", import.meta.url);
const HOST = {
	"@mariozechner/pi-ai": new URL("witness.mjs", import.meta.url).href,
	"chaos:pi-ai": pathToFileURL(process.env.CHAOS_PI_AI).href,
	"@mariozechner/pi-tui": pathToFileURL(process.env.CHAOS_PI_TUI).href,
	"@mariozechner/pi-coding-agent": new URL("host.mjs", import.meta.url).href,
};

const breaks = JSON.parse(readFileSync(process.env.CHAOS_BREAKS ?? new URL("breaks.json", import.meta.url), "utf8"));
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
