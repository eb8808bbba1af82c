import type { Account } from "../../core/account.ts";
import type { SharedPoolStatus } from "../../core/shared-pool.ts";
import { openDocumentReader } from "../files/document-reader.ts";
import { composedList } from "./composed-accounts.ts";
import { readJoinCode } from "./join-code.ts";
import { openMirror } from "./mirror.ts";
import { othersIn } from "./other-machines.ts";
import { parsePoolUrl } from "./pool-url.ts";

/** What this machine knows of its pool, for a program that changes nothing and asks no database. */
export interface PoolReader {
	/** The accounts of the files and those of the pool as one; the same list until one of the two has changed. */
	list(own: readonly Account[]): readonly Account[];
	/** As the last look of a pi has found it; undefined where there is no code. */
	status(): SharedPoolStatus | undefined;
}

/** Reads the mirror at `path`. A runner's accounts are in the memory of its pi, and not in there. */
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
