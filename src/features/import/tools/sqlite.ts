import { stat } from "node:fs/promises";
import { pathToFileURL } from "node:url";

/** The rows of a table. */
type TableRows =
	| { readonly kind: "rows"; readonly rows: readonly unknown[] }
	| { readonly kind: "missing" }
	/** The end of a sentence. */
	| { readonly kind: "unreadable"; readonly reason: string };

const NEEDS_NEWER_NODE = "is an SQLite database, which needs Node 22.15 or newer to be read";

/**
 * Reads a whole table of another program's SQLite database, in place and without leaving a trace. If its owner is
 * running, its files are shared; otherwise the database is read as it is.
 */
export async function rowsOf(path: string, table: "account" | "credential"): Promise<TableRows> {
	if (!(await isFile(path))) return { kind: "missing" };
	try {
		const sqlite = loadSqlite();
		if (!sqlite) return { kind: "unreadable", reason: NEEDS_NEWER_NODE };
		const [hasLog, hasIndex] = await Promise.all([isFile(`${path}-wal`), isFile(`${path}-shm`)]);
		// Opened normally, SQLite would rebuild the index in the other program's folder and leave it there.
		if (hasLog && !hasIndex)
			return { kind: "unreadable", reason: "was left open by a crash; start its tool once and try again" };
		const location = pathToFileURL(path);
		if (!hasLog) location.searchParams.set("immutable", "1");
		const database = new sqlite.DatabaseSync(location, { readOnly: true });
		try {
			const isKnown = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table);
			const rows = isKnown ? database.prepare(`SELECT * FROM "${table}"`).all() : [];
			return { kind: "rows", rows };
		} finally {
			database.close();
		}
	} catch (error) {
		// Before 22.15 a database cannot be read without leaving files beside it.
		if (error instanceof TypeError) return { kind: "unreadable", reason: NEEDS_NEWER_NODE };
		// SQLite's messages may quote what it read.
		return { kind: "unreadable", reason: "is not a readable SQLite database" };
	}
}

async function isFile(path: string): Promise<boolean> {
	return stat(path).then(
		(stats) => stats.isFile(),
		() => false,
	);
}

/** The small part of `node:sqlite` used here. */
interface Sqlite {
	readonly DatabaseSync: new (
		location: URL,
		options: { readonly readOnly: boolean },
	) => {
		prepare(sql: string): { get(...values: readonly string[]): unknown; all(): unknown[] };
		close(): void;
	};
}

/**
 * Loads Node's own SQLite, if it has one. Some versions print a warning when it is loaded, which would end up on the
 * screen.
 */
function loadSqlite(): Sqlite | undefined {
	const warn = process.emitWarning;
	try {
		process.emitWarning = () => undefined;
		const load: ((id: string) => unknown) | undefined = process.getBuiltinModule;
		// The runtime's own module, so its name determines its type.
		return load?.("node:sqlite") as Sqlite | undefined;
	} finally {
		process.emitWarning = warn;
	}
}
