import type { SessionId } from "../ids.ts";
import type { LedgerEntry, RecordEntry } from "./ledger.ts";

/** An entry as it came: when, epoch ms, and in which folder its session runs. */
export interface DatedEntry {
	readonly at: number;
	readonly folder: string | undefined;
	readonly entry: LedgerEntry;
}

/** What writes the ledger. */
export interface LedgerWriter {
	add(entries: readonly DatedEntry[]): void;
	/** Writes what was added. Never rejects: what cannot be written is kept, and tried again. */
	flush(): Promise<void>;
}

/** The ledger as a request sees it. */
export interface LateLedger {
	readonly record: RecordEntry;
	/** Resolves when everything that was recorded is in the file, or cannot be written. Never rejects. */
	flush(): Promise<void>;
}

interface Deps {
	/** False where the person wants nothing recorded. */
	readonly isOn: () => boolean;
	readonly folderOf: (sessionId: SessionId | undefined) => string | undefined;
	readonly load: () => Promise<LedgerWriter>;
	readonly onFailure: (error: unknown) => void;
	readonly now: () => number;
}

/** What a kill loses at most: the entries of this time. */
const BEHIND_MS = 250;
/** Entries that wait for the code that writes them, which an update may have replaced under a running pi. */
const MOST_WAITING = 1000;

/** Takes entries at once, and loads what writes them a moment after the first: no request waits for either. */
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
