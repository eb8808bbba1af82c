import { onTestFinished } from "vitest";
import { openStoredPool, pathsIn, type StoredPool } from "../../../src/cli/stored-pool.ts";
import type { Account } from "../../../src/core/account.ts";
import type { AccountId } from "../../../src/core/ids.ts";
import type { AccountStatus } from "../../../src/core/ports.ts";
import { identityOf } from "../../../src/platform/backend/jwt.ts";
import { openPoolReader } from "../../../src/platform/shared-pool/pool-reader.ts";
import { aScratch, aTokenOf, HOUR_MS, NOW, type Scratch } from "../../support/fakes.ts";
import { anId } from "../../support/ids.ts";

/** What is stored of one account. */
export interface StoredAccount {
	readonly row?: Partial<Account>;
	readonly status?: Partial<AccountStatus>;
}

/** An agent directory as pi leaves it. */
export interface StoredHome extends Scratch {
	/** The id of an account, by its label. */
	id(label: string): AccountId;
	/** The pool in it, as a program that was started in `folder` sees it. */
	open(folder?: string): StoredPool;
	/** Writes what is known of the accounts. */
	writeState(statuses: Readonly<Record<string, Partial<AccountStatus>>>, more?: object): void;
}

/** Two windows, the shorter one first. */
export function usageOf(used5h: number, usedWeek: number, capturedAt = NOW) {
	return {
		capturedAt,
		source: "headers",
		windows: [
			{ usedPercent: used5h, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			{ usedPercent: usedWeek, windowMinutes: 10_080, resetsAt: NOW + 48 * HOUR_MS },
		],
		limits: {},
		limitReached: false,
	} as const;
}

/** Writes the files of these accounts, by label. */
export function aStoredHome(accounts: Readonly<Record<string, StoredAccount>>, settings: object = {}): StoredHome {
	const scratch = aScratch();
	onTestFinished(scratch.remove);
	const id = (label: string) => identityOf(aTokenOf(label))?.id ?? anId("");
	const rows = Object.entries(accounts).map(([label, { row }]) => {
		const credential = { access: aTokenOf(label), refresh: `refresh-${label}`, expires: NOW + 24 * HOUR_MS };
		return { id: id(label), label, accountId: `acct-${label}`, email: `${label}@example.test`, credential, ...row };
	});
	const writeState: StoredHome["writeState"] = (statuses, more = {}) => {
		const known = Object.entries(statuses).map(([label, status]) => [id(label), { cooldowns: [], ...status }]);
		scratch.write("codex-state.json", { version: 1, pin: null, accounts: Object.fromEntries(known), ...more });
	};
	if (rows.length > 0) scratch.write("codex-accounts.json", { version: 2, accounts: rows });
	writeState(Object.fromEntries(Object.entries(accounts).map(([label, { status = {} }]) => [label, status])));
	scratch.write("settings.json", settings);
	const readShared = JSON.stringify(settings).includes('"pool"') ? openPoolReader : undefined;
	const open = (folder = scratch.dir) =>
		openStoredPool(pathsIn(scratch.dir), { now: () => NOW }, () => folder, readShared);
	return { ...scratch, id, open, writeState };
}
