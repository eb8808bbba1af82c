import { watch } from "node:fs";
import { basename, dirname } from "node:path";

/** One write causes several events. Those within this time count as one. */
const SETTLE_MS = 150;

/**
 * Calls `listener` soon after one of the files was written; never, if the system reports no changes (network drives, a
 * limit of watches). Returns a function that ends the watch. The watch does not keep the process alive.
 */
export function followFiles(paths: readonly string[], listener: () => void): () => void {
	let timer: NodeJS.Timeout | undefined;
	const onChange = () => {
		timer ??= setTimeout(() => {
			timer = undefined;
			listener();
		}, SETTLE_MS).unref();
	};
	const watchers = [...new Set(paths.map(dirname))].map((folder) => {
		const names = new Set(paths.filter((path) => dirname(path) === folder).map((path) => basename(path)));
		return startWatching(folder, (_event, name) => {
			if (name === null || names.has(name)) onChange();
		});
	});
	return () => {
		clearTimeout(timer);
		for (const watcher of watchers) watcher?.close();
	};
}

function startWatching(folder: string, onEvent: (event: string, name: string | null) => void) {
	try {
		const watcher = watch(folder, { persistent: false }, onEvent);
		watcher.on("error", () => watcher.close());
		return watcher;
	} catch {
		// The file is missing, or the system allows no more watches. Screens then refresh every minute.
		return undefined;
	}
}
