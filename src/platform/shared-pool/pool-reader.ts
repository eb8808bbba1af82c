import type { Account } from "../../core/account.ts";
import type { SharedPoolStatus } from "../../core/shared-pool.ts";
import { openDocumentReader } from "../files/document-reader.ts";
import { composedList } from "./composed-accounts.ts";
import { readJoinCode } from "./join-code.ts";
import { openMirror } from "./mirror.ts";
import { othersIn } from "./other-machines.ts";
import { parsePoolUrl } from "./pool-url.ts";

/** What this machine knows of its pool, for a program that changes nothing and never connects to the database. */
interface PoolReader {
	/** Returns the accounts of the files and of the pool together; the same list until one of them has changed. */
	list(own: readonly Account[]): readonly Account[];
	/** Returns the status as of the last look by any pi; undefined if there is no code. */
	status(): SharedPoolStatus | undefined;
}

/** Reads the mirror at `path`. A runner's accounts exist only in the memory of its pi, so they are not in it. */
export function openPoolReader(path: string, onProblem: (text: string) => void): PoolReader {
	const mirror = openMirror(path, onProblem, openDocumentReader);
	let madeOf: readonly unknown[] = [];
	let made: readonly Account[] = [];
	return {
		list: (own) => {
			const [rows, crossings] = [mirror.rows(), mirror.crossings()];
			const parts = [own, rows, crossings];
			if (parts.some((part, index) => part !== madeOf[index])) {
				const pooled = [...rows.values()].map(({ account }) => account);
				made = composedList(own, pooled, crossings);
				madeOf = parts;
			}
			return made;
		},
		status: () => {
			const read = readJoinCode(mirror.join() ?? "");
			if (read.kind === "bad") return undefined;
			const last = mirror.lastLook();
			const machine = mirror.machine() ?? "";
			return {
				name: mirror.name() ?? "",
				role: read.code.role,
				machine,
				place: parsePoolUrl(read.code.url).place,
				joinedBy: "settings",
				connection: last ? { kind: "resting", lookedAt: last.at } : { kind: "unknown" },
				others: othersIn(last?.presences ?? [], machine),
				clockAheadMs: last?.aheadMs,
				journals: 0,
			};
		},
	};
}
