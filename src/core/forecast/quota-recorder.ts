import type { AccountId } from "../ids.ts";
import type { QuotaHistory } from "../ports.ts";
import type { UsageSnapshot } from "../usage.ts";
import { boundedHistory, type HistorySample, isUnchanged, joined, samplesOf, seriesOf } from "./quota-history.ts";

/** Where the history is kept. */
export interface HistoryFile {
	/** Adds samples to those of all processes. May lose them on a full or read-only disk. */
	append(samples: readonly HistorySample[]): Promise<void>;
	/** Everything that is kept, in no order. */
	read(): Promise<readonly HistorySample[]>;
}

interface Deps {
	/** Opens the file: what it needs is not loaded before the first write, or the first look. */
	readonly load: () => Promise<HistoryFile>;
	readonly now: () => number;
	readonly onFailure: (error: unknown) => void;
}

const HOUR_MS = 60 * 60_000;
/** Changes are written together this often, and at the end of a session. What is lost is in the next figure, too. */
const WRITE_EVERY_MS = 5 * 60_000;

/** Creates the history: it collects what changes, and writes it behind. */
export function createQuotaRecorder({ load, now, onFailure }: Deps): QuotaHistory {
	const latest = new Map<string, HistorySample>();
	let waiting: HistorySample[] = [];
	let writing: Promise<void> = Promise.resolve();
	let timer: ReturnType<typeof setTimeout> | undefined;

	const writeBatch = async () => {
		clearTimeout(timer);
		timer = undefined;
		const batch = waiting;
		waiting = [];
		if (batch.length === 0) return;
		try {
			await (await load()).append(batch);
		} catch (error) {
			onFailure(error);
		}
	};
	const flush = () => {
		writing = writing.then(writeBatch);
		return writing;
	};

	const take = (sample: HistorySample) => {
		const series = seriesOf(sample);
		const former = latest.get(series);
		if (former && (sample.at < former.at || isUnchanged(former, sample))) return;
		latest.set(series, sample);
		const at = waiting.findLastIndex((each) => seriesOf(each) === series);
		const unwritten = waiting[at];
		const isOfThisHour = unwritten && Math.floor(unwritten.at / HOUR_MS) === Math.floor(sample.at / HOUR_MS);
		// The samples show a window that has ended since, unless this one takes the place of the last.
		if (isOfThisHour) waiting[at] = joined(unwritten, sample);
		else waiting.push(sample);
		timer ??= setTimeout(() => void flush(), WRITE_EVERY_MS).unref();
	};

	return {
		record: (id: AccountId, usage: UsageSnapshot) => {
			for (const sample of samplesOf(id, usage)) take(sample);
		},
		read: async () => {
			const stored = await (await load()).read();
			return boundedHistory([...stored, ...waiting], now());
		},
		flush,
	};
}
