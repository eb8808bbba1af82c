import { watch } from "node:fs";
import { basename, dirname } from "node:path";

/** One write makes several events: those within this time count as one. */
const SETTLE_MS = 150;

/**
 * Calls `listener` soon after one of the files was written, which have to lie in one folder. Where the system tells of no
 * changes (network drives, a limit that is reached) it is never called. Gives the function that ends it; until then it
 * keeps no process alive.
 */
export function followFiles(paths: readonly [string, ...string[]], listener: () => void): () => void {
	const names = new Set(paths.map((path) => basename(path)));
	let timer: NodeJS.Timeout | undefined;
	const onEvent = (_event: string, name: string | null) => {
		if (name !== null && !names.has(name)) return;
		timer ??= setTimeout(() => {
			timer = undefined;
			listener();
		}, SETTLE_MS).unref();
	};
	const watcher = startWatching(dirname(paths[0]), onEvent);
	return () => {
		clearTimeout(timer);
		watcher?.close();
	};
}

function startWatching(folder: string, onEvent: (event: string, name: string | null) => void) {
	try {
		const watcher = watch(folder, { persistent: false }, onEvent);
		watcher.on("error", () => watcher.close());
		return watcher;
	} catch {
		// Not there, or more is watched than the system allows: what is shown follows by the minute then.
		return undefined;
	}
}
