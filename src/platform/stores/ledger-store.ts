import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as z from "zod/mini";
import { isDefect } from "../../core/defect.ts";
import type { DatedEntry, LedgerWriter } from "../../core/ledger/late-ledger.ts";
import { AMOUNTS, amountsOf, bounded, dayOf, type Ledger, type LedgerRow, merged } from "../../core/ledger/ledger.ts";
import { leftoversIn, writeAtomically } from "../files/atomic-file.ts";
import { signatureOf } from "../files/document-file.ts";
import { isMissing } from "../files/errors.ts";
import { followFiles } from "../files/file-watch.ts";
import { createWriteBehind } from "../files/line-file.ts";
import { type LockOptions, withLock } from "../files/lock.ts";
import { realTarget, whereIs } from "../files/real-path.ts";
import { readText } from "../files/regular-file.ts";
import { accountIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient } from "../lenient.ts";

/** The open file of the ledger. */
interface LedgerStore extends LedgerWriter, Ledger {}

interface Options {
	/** Ends in `.jsonl`. */
	readonly path: string;
	readonly now: () => number;
	/** Returns the project that a folder belongs to. May read the disk. */
	readonly projectOf: (folder: string) => string;
	readonly onFailure: (error: unknown) => void;
	readonly lock?: LockOptions;
}

/** The newest format that this code understands. A newer file is neither read nor written. */
const VERSION = 1;
/** Maximum length of the first line. */
const LONGEST_HEAD = 200;
/** Appended lines are added up once they take more room than all rows together plus this much. */
const SLACK_BYTES = 128 * 1024;
/** A file that cannot be added up, because its folder is read-only, grows no further than this. */
const MOST_BYTES = 16 * 1024 * 1024;
/** A longer path is cut off at its beginning, since its end says more. */
const LONGEST_PROJECT = 200;
/** Maximum of any amount in a row, so that sums of many stay numbers. */
const MOST_AMOUNT = 1e15;
const MODEL = /^[\w.:/+-]{1,80}$/;
/**
 * pi gives a session 5 s to write at its end, so a lock left by a killed process is removed within that time. A holder
 * that was suspended for longer checks the file again before it writes.
 */
const LOCK = { waitMs: 4500, staleMs: 3000 };
const RETRY_MS = 5000;

/** The first line. `bytes` is the file's size when its rows were last added up. */
const headSchema = lazily(() => z.object({ version: z.int(), bytes: z.catch(z.int(), 0) }));

/** Any other line: one amount, or the sum of many. A part that cannot be read counts as several values. */
const rowSchema = lazily(() => {
	const amount = z.catch(z.number().check(z.minimum(0), z.maximum(MOST_AMOUNT)), 0);
	return z.object({
		period: z.string().check(z.regex(/^\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$/)),
		account: lenient(accountIdSchema),
		project: lenient(z.string().check(z.minLength(1), z.maxLength(LONGEST_PROJECT))),
		model: lenient(z.string().check(z.regex(MODEL))),
		requests: amount,
		input: amount,
		cached: amount,
		output: amount,
		cost: amount,
		rotations: amount,
		refusals: amount,
		refusedMs: amount,
	});
});

/**
 * Opens the ledger. Each process appends whole lines under the file's lock. Once lines take twice the room of their
 * sums, they are added up into a new file. Losing lines does no harm: an unreadable line is skipped, and a full or
 * read-only disk is not reported.
 */
export function openLedgerStore({ path, now, projectOf, onFailure, lock = LOCK }: Options): LedgerStore {
	/** Counted, but not in the file yet. */
	let pending: LedgerRow[] = [];
	const projects = new Map<string, string>();

	const projectIn = (folder: string): string => {
		const known = projects.get(folder) ?? projectOf(folder).slice(-LONGEST_PROJECT);
		projects.set(folder, known);
		return known;
	};
	const rowOf = ({ at, folder, entry }: DatedEntry): LedgerRow => ({
		period: dayOf(at),
		account: entry.account,
		project: folder === undefined ? undefined : projectIn(folder),
		model: MODEL.test(entry.asked.modelId) ? entry.asked.modelId : undefined,
		...amountsOf(entry),
	});

	const writeBatch = async (): Promise<void> => {
		const batch = merged(pending);
		if (batch.length === 0) return;
		pending = [];
		/** Number of lines in the file, whatever failed afterwards. No line is written twice. */
		let written = 0;
		try {
			const target = await realTarget(path);
			await withLock(target, lock, async () => {
				const found = await stat(target).catch(ignored);
				// Opening a pipe or a device has side effects, or waits for another program.
				if (found && !found.isFile()) {
					written = batch.length;
					return;
				}
				const today = dayOf(now());
				if (found && found.size > MOST_BYTES) await compactIfDue(target, today);
				written = await append(target, batch);
				if (written === batch.length) await compactIfDue(target, today);
			});
		} catch (error) {
			if (isDefect(error)) throw error;
		} finally {
			pending = merged([...batch.slice(written), ...pending]);
			if (pending.length > 0) behind.soon(RETRY_MS);
		}
	};
	const behind = createWriteBehind(writeBatch, onFailure);

	return {
		add: (entries) => {
			pending = merged([...pending, ...entries.map(rowOf)]);
		},
		flush: behind.flush,
		read: async () => {
			await behind.flush();
			const stored = await whereIs(path).then(readText).catch(ignored);
			return bounded([...(stored === undefined ? [] : (rowsIn(stored) ?? [])), ...pending], dayOf(now()));
		},
		forget: async () => {
			await behind.ended();
			pending = [];
			const target = await realTarget(path);
			return withLock(target, lock, async () => {
				const isThere = await stat(target).then(() => true, isAbsent);
				const leftovers = await leftoversIn(dirname(target), (written) => written === basename(target));
				for (const name of leftovers) await rm(join(dirname(target), name), { force: true });
				await rm(target, { force: true });
				return isThere;
			});
		},
		follow: (listener) => followFiles([path], listener),
	};
}

/** Appends a line for each row. Returns how many are in the file, since a full disk takes only part of them. */
async function append(target: string, rows: readonly LedgerRow[]): Promise<number> {
	const handle = await open(target, "a+", 0o600);
	try {
		const { size, ino } = await handle.stat();
		const isNewer = size > 0 && (await headOf(handle)).version > VERSION;
		if (isNewer || size > MOST_BYTES) return rows.length;
		// A process that took our lock for stale may have replaced the file.
		if ((await stat(target)).ino !== ino) return 0;
		return await writeLines(handle, await beginningFor(handle, size), rows.map(lineOf));
	} finally {
		await handle.close();
	}
}

/** Returns what precedes the first appended line: a line that was cut off must not run into it. */
async function beginningFor(handle: FileHandle, size: number): Promise<string> {
	if (size === 0) return headLine(0);
	const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
	return bytesRead === 0 || buffer.toString() === "\n" ? "" : "\n";
}

async function writeLines(handle: FileHandle, beginning: string, lines: readonly string[]): Promise<number> {
	const bytes = Buffer.from(beginning + lines.join(""));
	let done = 0;
	try {
		while (done < bytes.length) done += (await handle.write(bytes, done)).bytesWritten;
	} catch (error) {
		if (done === 0) throw error;
	}
	let end = Buffer.byteLength(beginning);
	const isWhole = (line: string) => {
		end += Buffer.byteLength(line);
		// A line is readable even without its line end.
		return end - 1 <= done;
	};
	const cut = lines.findIndex((line) => !isWhole(line));
	return cut < 0 ? lines.length : cut;
}

/** Adds the lines up into a new file once they take much more room than their sums. */
async function compactIfDue(target: string, today: string): Promise<void> {
	const seen = signatureOf(target);
	const text = await textIfDue(target);
	const rows = text === undefined ? undefined : rowsIn(text);
	if (!rows) return;
	const body = bounded(rows, today).map(lineOf).join("");
	const content = headLine(Buffer.byteLength(body)) + body;
	await writeAtomically(target, content, 0o600, () => signatureOf(target) === seen);
}

async function textIfDue(target: string): Promise<string | undefined> {
	const handle = await open(target, "r");
	try {
		const { size } = await handle.stat();
		if (size <= SLACK_BYTES) return undefined;
		const { bytes } = await headOf(handle);
		return size > 2 * bytes + SLACK_BYTES ? await handle.readFile("utf8") : undefined;
	} finally {
		await handle.close();
	}
}

/** Reads the first line. A file that begins otherwise was never added up. */
async function headOf(handle: FileHandle): Promise<{ readonly version: number; readonly bytes: number }> {
	const { buffer, bytesRead } = await handle.read(Buffer.alloc(LONGEST_HEAD), 0, LONGEST_HEAD, 0);
	return headIn(buffer.toString("utf8", 0, bytesRead));
}

function headIn(text: string): { readonly version: number; readonly bytes: number } {
	const [first = ""] = text.split("\n", 1);
	return parseJson(headSchema(), first) ?? { version: 0, bytes: 0 };
}

function headLine(bytes: number): string {
	return `${JSON.stringify({ version: VERSION, bytes })}\n`;
}

/** Reads every readable row; undefined for a file of a newer format. */
function rowsIn(text: string): LedgerRow[] | undefined {
	if (headIn(text).version > VERSION) return undefined;
	return text.split("\n").flatMap((line) => {
		const row = line === "" ? undefined : parseJson(rowSchema(), line);
		return row ? [row] : [];
	});
}

/** Formats a row as a line, without amounts of zero. */
function lineOf(row: LedgerRow): string {
	const { period, account, project, model } = row;
	const amounts = AMOUNTS.filter((name) => row[name] !== 0).map((name) => [name, row[name]] as const);
	return `${JSON.stringify({ period, account, project, model, ...Object.fromEntries(amounts) })}\n`;
}

function isAbsent(error: unknown): false {
	if (!isMissing(error)) throw error;
	return false;
}

/** The file does not exist or cannot be read, so nothing is known. */
function ignored(): undefined {
	return undefined;
}
