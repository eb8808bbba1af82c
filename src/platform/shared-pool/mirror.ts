import * as z from "zod/mini";
import { type Account, type Credential, createUniqueLabels } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountPatch } from "../../core/ports.ts";
import { openSharedDocument, type SharedDocument } from "../files/shared-document.ts";
import { accountIdSchema } from "../ids.ts";
import { lenient, remembering } from "../lenient.ts";
import { ACCOUNTS_VERSION, type Row, rowSchema, toAccounts, toRow, wasIssuedAfter } from "../stores/account-file.ts";
import { asShared, standInFor } from "./sealed-account.ts";
import type { Presence } from "./types.ts";

/** The version of `codex-pool.json` that this code writes. */
const MIRROR_VERSION = 1;

const mirroredSchema = z.object({
	/** Version of the row in the database. */
	version: z.int(),
	tokenHash: z.string(),
	/** With a placeholder for the refresh token. */
	account: rowSchema,
});
/** What tells one row from another, also where the rest cannot be read. */
const keySchema = z.object({ account: z.object({ id: z.string() }) });
const crossingSchema = z.object({
	id: accountIdSchema,
	way: z.enum(["in", "out"]),
	/** Hash of the refresh token that is moved. */
	tokenHash: z.string(),
	/** Who has claimed that token in the database. */
	holder: lenient(z.string()),
});
const presenceSchema = z.object({
	process: z.string(),
	machine: z.string(),
	sessions: z.record(accountIdSchema, z.number()),
	seenAt: z.number(),
});

const fileSchema = z.looseObject({
	version: z.catch(z.literal(MIRROR_VERSION), MIRROR_VERSION),
	/** The join code of this machine. Secret. */
	join: lenient(z.string()),
	/** The code that replaces it once the database uses its keys. */
	next: lenient(z.string()),
	/** The name of this machine. */
	machine: lenient(z.string()),
	/** The name of the pool. */
	name: lenient(z.string()),
	// Rows stay raw here, so that rows this version cannot read survive every write.
	rows: z.catch(z.array(z.unknown()), []),
	crossings: z.catch(z.array(z.unknown()), []),
	/** When the database was last read, and which processes were seen then. By this machine's clock. */
	look: lenient(
		z.object({
			at: z.number(),
			/** How far this machine's clock is ahead. */
			aheadMs: z.number(),
			listens: z.boolean(),
			presences: z.array(presenceSchema),
		}),
	),
});

/** The format of the file. */
export const MIRROR_FORMAT = { schema: fileSchema, version: MIRROR_VERSION };

/** The content of `codex-pool.json`. */
type MirrorFile = z.output<typeof fileSchema>;

/** What this machine knows of one row of the database. */
export interface Mirrored {
	readonly version: number;
	readonly tokenHash: string;
	/** With a placeholder for the refresh token. */
	readonly account: Account;
}

/** An account on its way between this machine's accounts file and the pool. It may be in both. */
export type Crossing = z.output<typeof crossingSchema>;

/** What the last look found besides accounts. Times are by this machine's clock, epoch ms. */
export type LastLook = NonNullable<MirrorFile["look"]>;

/** What this machine knows of the pool: everything except refresh tokens. A write that fails is kept in memory. */
export interface Mirror {
	/** Returns the text of the join code; undefined if this machine has joined no pool. */
	join(): string | undefined;
	machine(): string | undefined;
	name(): string | undefined;
	/** Returns rows by id, in the order in which they were added. Costs one stat if nothing has changed. */
	rows(): ReadonlyMap<AccountId, Mirrored>;
	/** Stores newer rows, and removes the accounts in `gone`. */
	take(rows: readonly Mirrored[], gone?: readonly AccountId[]): Promise<void>;
	/** Records the successor of the token with `spentHash`. The database may not have it yet. */
	renewed(id: AccountId, spentHash: string, next: Credential, nextHash: string): Promise<void>;
	/** Records a change that the database does not have yet. Ignores any credential in it. */
	patch(id: AccountId, patch: AccountPatch): Promise<void>;
	/** Drops all rows, for instance after new keys. */
	forget(): Promise<void>;
	lastLook(): LastLook | undefined;
	noteLook(look: LastLook, name: string): void;
	crossings(): readonly Crossing[];
	/** Records that an account starts to move. Rejects if the record is not durable. */
	beginCrossing(crossing: Crossing): Promise<void>;
	endCrossing(id: AccountId): Promise<void>;
	flush(): Promise<void>;
}

/** A mirror, with the changes that decide which pool it belongs to. */
export interface OwnMirror extends Mirror {
	/** Joins the pool of a code. Drops rows and crossings of another pool. Rejects if that is not durable. */
	enter(join: string, machine: string, name: string, keepsRows: boolean): Promise<void>;
	/** Returns the code for keys that may have replaced the known ones. */
	next(): string | undefined;
	/** Records the new code before the keys are replaced. Losing that key would lose every sign-in. */
	prepare(next: string): Promise<void>;
	/** Forgets the pool, its accounts and the code. Rejects if that is not durable. */
	clear(): Promise<void>;
}

/** Opens the mirror at `path`. A program that only reads passes another `open`. */
export function openMirror(
	path: string,
	onProblem: (text: string) => void,
	open: typeof openSharedDocument = openSharedDocument,
): OwnMirror {
	const document = open({
		path,
		schema: fileSchema,
		version: MIRROR_VERSION,
		empty: emptyFile,
		onProblem: (problem) => onProblem(problem.text),
	});
	return createMirror(document);
}

/** Creates a mirror that is never written to disk and ends with the process. */
export function mirrorInMemory(join: string, machine: string): OwnMirror {
	const value: MirrorFile = { ...emptyFile(), join, machine };
	const apply = (change: (draft: MirrorFile) => void) => change(value);
	return createMirror({
		read: () => value,
		update: async (change) => apply((draft) => change(draft, true)),
		updateOrRollBack: async (change) => apply(change),
		updateDebounced: apply,
		flush: async () => undefined,
	});
}

function emptyFile(): MirrorFile {
	return { version: MIRROR_VERSION, rows: [], crossings: [] };
}

function createMirror(document: SharedDocument<MirrorFile>): OwnMirror {
	/** A change replaces these lists, and leaves them as they are. */
	let rowsFrom: readonly unknown[] | undefined;
	let crossingsFrom: readonly unknown[] | undefined;
	let known: ReadonlyMap<AccountId, Mirrored> = new Map();
	let crossing: readonly Crossing[] = [];
	const readRows = createRowReader();

	const rowsNow = () => {
		const { rows } = document.read();
		if (rows === rowsFrom) return known;
		rowsFrom = rows;
		const read = mirroredIn(readRows(rows));
		// What others make of the rows holds as long as they are the same.
		if (!areSame(read, known)) known = read;
		return known;
	};
	/** The document has reported what it could not write, and retries by itself. */
	const update = (change: (draft: MirrorFile) => void) => document.update(change).catch(() => undefined);
	const surely = (change: (draft: MirrorFile) => void) => document.updateOrRollBack(change);
	const changeRow = (id: AccountId, change: (row: z.output<typeof mirroredSchema>) => unknown) =>
		update((draft) => {
			draft.rows = readRows(draft.rows).map(({ raw, row }) => {
				const stored = row?.account.id === id ? mirroredSchema.safeParse(raw).data : undefined;
				return stored ? change(stored) : raw;
			});
		});

	return {
		join: () => document.read().join,
		machine: () => document.read().machine,
		name: () => document.read().name,
		rows: rowsNow,
		take: async (rows, gone = []) => {
			const held = rowsNow();
			const newsTo = (present: ReadonlyMap<AccountId, Mirrored>) =>
				rows.filter((row) => isNewer(row, present.get(row.account.id)));
			if (newsTo(held).length === 0 && !gone.some((id) => held.has(id))) return;
			await update((draft) => {
				// Another process may have left the pool since. Store nothing of it.
				if (draft.join === undefined) return;
				const read = readRows(draft.rows);
				const news = new Map(newsTo(mirroredIn(read)).map((row) => [row.account.id, row]));
				const isReplaced = (id: AccountId) => gone.includes(id) || news.has(id);
				const kept = read.filter(({ row }) => row === undefined || !isReplaced(row.account.id));
				draft.rows = [...kept.map(({ raw }) => raw), ...[...news.values()].map(toStored)];
			});
		},
		renewed: (id, spentHash, next, nextHash) =>
			changeRow(id, (row) => {
				if (row.tokenHash !== spentHash) return row;
				const { access, expiresAt: expires } = next;
				const credential = { ...row.account.credential, access, refresh: standInFor(nextHash), expires };
				return { ...row, tokenHash: nextHash, account: { ...row.account, credential, needsLogin: null } };
			}),
		patch: (id, { credential: _, ...patch }) =>
			changeRow(id, (row) => ({
				...row,
				account: {
					...row.account,
					...patch,
					linked: false,
					...("needsLogin" in patch && { needsLogin: patch.needsLogin ?? null }),
					...("disabledReason" in patch && { disabledReason: patch.disabledReason ?? null }),
				},
			})),
		forget: () =>
			update((draft) => {
				draft.rows = [];
			}),
		lastLook: () => document.read().look,
		noteLook: (look, name) => {
			document.updateDebounced((draft) => {
				draft.look = look;
				draft.name = name;
			});
		},
		crossings: () => {
			const { crossings } = document.read();
			if (crossings === crossingsFrom) return crossing;
			crossingsFrom = crossings;
			const read = crossings.flatMap((raw) => crossingSchema.safeParse(raw).data ?? []);
			if (JSON.stringify(read) !== JSON.stringify(crossing)) crossing = read;
			return crossing;
		},
		beginCrossing: (begun) =>
			surely((draft) => {
				draft.crossings = [...withoutCrossing(draft, begun.id), begun];
			}),
		endCrossing: (id) =>
			update((draft) => {
				draft.crossings = withoutCrossing(draft, id);
			}),
		flush: () => document.flush(),
		enter: (join, machine, name, keepsRows) =>
			surely((draft) => {
				Object.assign(draft, { join, machine, name, look: undefined, next: undefined });
				if (!keepsRows) Object.assign(draft, { rows: [], crossings: [] });
			}),
		next: () => document.read().next,
		prepare: (next) =>
			surely((draft) => {
				draft.next = next;
			}),
		clear: () =>
			surely((draft) => {
				for (const key of Object.keys(draft)) delete draft[key];
				Object.assign(draft, emptyFile());
			}),
	};
}

/** Converts the presences of a look to this machine's clock. */
export function seenBy(presences: readonly Presence[], aheadMs: number): LastLook["presences"] {
	return presences.map((presence) => ({
		...presence,
		sessions: { ...presence.sessions },
		seenAt: presence.seenAt + aheadMs,
	}));
}

function withoutCrossing({ crossings }: MirrorFile, id: AccountId): unknown[] {
	return crossings.filter((raw) => crossingSchema.safeParse(raw).data?.id !== id);
}

/**
 * A row with a later version, or with a later sign-in: in a database that was restored from a backup, versions begin
 * again at a lower one.
 */
function isNewer({ version, tokenHash, account }: Mirrored, held: Mirrored | undefined): boolean {
	if (!held || held.version < version) return true;
	const [offered, known] = [account.credential.access, held.account.credential.access];
	return held.tokenHash !== tokenHash && wasIssuedAfter(offered, known);
}

/** Rows as they are stored, and what each says; undefined where it cannot be read. */
type RowReader = (rows: readonly unknown[]) => readonly { readonly raw: unknown; readonly row: Mirrored | undefined }[];

function createRowReader(): RowReader {
	const read = remembering((raw): Mirrored | undefined => {
		const { data } = mirroredSchema.safeParse(raw);
		const [account] = data ? toAccounts({ version: ACCOUNTS_VERSION, accounts: [data.account] }) : [];
		if (!data || !account) return undefined;
		const { version, tokenHash } = data;
		return { version, tokenHash, account: asShared(account, tokenHash) };
	});
	const keyOf = (raw: unknown) => keySchema.safeParse(raw).data?.account.id ?? "";
	return (rows) => read(rows.map((raw) => [keyOf(raw), raw])).map(({ raw, value }) => ({ raw, row: value }));
}

/** The accounts of rows, so that no two of them have one label. */
function mirroredIn(read: ReturnType<RowReader>): ReadonlyMap<AccountId, Mirrored> {
	const labelFor = createUniqueLabels();
	const byId = new Map<AccountId, Mirrored>();
	for (const { row } of read) {
		if (!row || byId.has(row.account.id)) continue;
		const label = labelFor(row.account.label);
		const isUnique = label === row.account.label;
		byId.set(row.account.id, isUnique ? row : { ...row, account: { ...row.account, label } });
	}
	return new Map([...byId].sort(([, a], [, b]) => a.account.addedAt - b.account.addedAt));
}

/** The same rows, in the same order? */
function areSame(one: ReadonlyMap<AccountId, Mirrored>, other: ReadonlyMap<AccountId, Mirrored>): boolean {
	const others = [...other.values()];
	return one.size === other.size && [...one.values()].every((row, at) => row === others[at]);
}

function toStored({ version, tokenHash, account }: Mirrored): {
	version: number;
	tokenHash: string;
	account: Row;
} {
	return { version, tokenHash, account: toRow(asShared(account, tokenHash)) };
}
