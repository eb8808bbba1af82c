import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPool, type Pool } from "../../src/core/pool/pool.ts";
import type { StateStore } from "../../src/core/ports.ts";
import { identityOf } from "../../src/platform/backend/jwt.ts";
import { openAccountStore } from "../../src/platform/stores/account-store.ts";
import { openSettings } from "../../src/platform/stores/settings-store.ts";
import { openStateStore } from "../../src/platform/stores/state-store.ts";
import type { FakeCodex } from "../support/fake-codex/index.ts";
import { aTokenOf } from "../support/fakes.ts";

/** Rows of `codex-accounts.json` for accounts of the fake backend, each with a sign-in of its own. */
export function accountRows(codex: FakeCodex, names: readonly string[], options: { expiresInMs?: number } = {}) {
	return names.map((label) => {
		const credential = codex.grant(label, options);
		const identity = identityOf(credential.access);
		return {
			id: identity?.id,
			label,
			workspaceId: identity?.workspaceId,
			accountId: identity?.workspaceId,
			credential,
		};
	});
}

/** A pool over real files, as in a session. */
export interface StoredPool {
	readonly pool: Pool;
	readonly state: StateStore;
	/** Where the state is stored. */
	readonly statePath: string;
	readonly settings: ReturnType<typeof openSettings>["read"];
	/** Deletes the files, after what was still to be written. */
	remove(): Promise<void>;
}

/** Writes the files of `total` accounts, each with usage, and opens a pool over them. */
export function openStoredPool(total: number): StoredPool {
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
	const now = Date.now();
	const rows = Array.from({ length: total }, (_, at) => {
		const name = `person${at}`;
		const expiresAt = now + 3_600_000;
		const access = aTokenOf(name, { issuedAt: now, expiresAt });
		const identity = identityOf(access);
		const credential = { access, refresh: `refresh-${at}`, expires: expiresAt };
		return { id: identity?.id, label: name, accountId: identity?.workspaceId, email: identity?.email, credential };
	});
	const windows = [300, 10_080].map((windowMinutes, at) => ({
		usedPercent: 10 + at,
		windowMinutes,
		resetsAt: now + windowMinutes * 30_000,
	}));
	const usage = { capturedAt: now, source: "api", windows, limits: {}, limitReached: false };
	const accounts = Object.fromEntries(rows.map(({ id }) => [id, { cooldowns: [], usage }]));
	writeFileSync(join(folder, "codex-accounts.json"), JSON.stringify({ version: 2, accounts: rows }));
	const statePath = join(folder, "codex-state.json");
	writeFileSync(statePath, JSON.stringify({ version: 1, pin: null, lastChosen: null, live: {}, accounts }));
	writeFileSync(join(folder, "settings.json"), "{}");
	const clock = { now: () => Date.now() };
	const complain = (text: string) => {
		throw new Error(text);
	};
	const state = openStateStore(statePath, complain, clock.now);
	const settings = openSettings(join(folder, "settings.json"), complain);
	const pool = createPool({
		accounts: openAccountStore(join(folder, "codex-accounts.json"), complain, clock.now),
		state,
		clock,
		settings: settings.read,
		sets: { setFor: () => undefined },
	});
	if (pool.accounts().length !== total) throw new Error(`${pool.accounts().length} of ${total} accounts were read`);
	return {
		pool,
		state,
		statePath,
		settings: settings.read,
		remove: async () => {
			await state.setPin(undefined);
			rmSync(folder, { recursive: true });
		},
	};
}
