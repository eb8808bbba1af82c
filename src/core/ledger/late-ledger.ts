import type { SessionId } from "../ids.ts";
import type { LedgerEntry, RecordEntry } from "./ledger.ts";

/** An entry with its time, epoch ms, and the folder of its session. */
export interface DatedEntry {
	readonly at: number;
	readonly folder: string | undefined;
	readonly entry: LedgerEntry;
}

/** Writes the ledger. */
export interface LedgerWriter {
	add(entries: readonly DatedEntry[]): void;
	/** Writes what was added. Never rejects: what cannot be written is kept and retried. */
	flush(): Promise<void>;
}

/** The ledger as a request uses it. */
export interface LateLedger {
	readonly record: RecordEntry;
	/** Resolves when every entry is in the file or cannot be written. Never rejects. */
	flush(): Promise<void>;
}

interface Deps {
	/** False if the person wants nothing recorded. */
	readonly isOn: () => boolean;
	readonly folderOf: (sessionId: SessionId | undefined) => string | undefined;
	readonly load: () => Promise<LedgerWriter>;
	readonly onFailure: (error: unknown) => void;
	readonly now: () => number;
}

/** Entries of this much time are lost at most if the process is killed. */
const BEHIND_MS = 250;
/**
 * Maximum number of entries that wait for the writing code, whose file an update may have replaced under a running pi.
 */
const MOST_WAITING = 1000;

/**
 * Takes entries at once, and loads the code that writes them a moment after the first one. No request waits for either.
 */
export function createLateLedger({ isOn, folderOf, load, onFailure, now }: Deps): LateLedger {
	const waiting: DatedEntry[] = [];
	let timer: NodeJS.Timeout | undefined;
	let writer: LedgerWriter | undefined;

	const flush = async (): Promise<void> => {
		clearTimeout(timer);
		timer = undefined;
		if (waiting.length === 0 && !writer) return;
		try {
			writer ??= await load();
			writer.add(waiting.splice(0));
			await writer.flush();
		} catch (error) {
			onFailure(error);
		}
	};
	return {
		record: (entry) => {
			if (!isOn() || waiting.length >= MOST_WAITING) return;
			waiting.push({ at: now(), folder: folderOf(entry.asked.sessionId), entry });
			timer ??= setTimeout(() => void flush(), BEHIND_MS).unref();
		},
		flush,
	};
}
