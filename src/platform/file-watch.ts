import { watch } from "node:fs";
import { basename, dirname } from "node:path";

/** One write causes several events: those within this time count as one. */
const SETTLE_MS = 150;

/**
 * Calls `listener` soon after one of the files was written; all must be in one folder. It is never called if the system
 * reports no changes (network drives, a limit of watches). Returns a function that ends the watch, which does not keep
 * the process alive.
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
		// Missing, or beyond the number of watches that the system allows: screens are refreshed by the minute then.
		return undefined;
	}
}
