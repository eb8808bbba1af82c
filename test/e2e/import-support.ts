import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect } from "vitest";
import type { PiResult } from "../support/child.ts";
import { answers, CLIENT_ID, type FakeAccountInit } from "../support/fake-codex/index.ts";
import { type Fixture, type ToolLogin, writeTool } from "../support/import-fixtures.ts";
import { type Bench, type BenchOptions, besidesPi, createBench } from "./support.ts";

/** Where pi, and so we, may write. Everything else in the home is other people's. */
const OURS = /^(\.pi|work|tmp)(\/|$)/;

/** What lies in a folder, our own places left out: mode and content, in base64, by path. */
function treeOf(folder: string): Map<string, string> {
	const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path));
	return new Map(
		paths
			.filter((path) => !OURS.test(relative(folder, path)))
			.map((path) => {
				const stats = lstatSync(path);
				// The index of an open database is memory that its readers share: only that it is there counts.
				const isContent = stats.isFile() && !path.endsWith("-shm");
				return [path, `${stats.mode.toString(8)} ${isContent ? readFileSync(path, "base64") : ""}`];
			}),
	);
}

/** A bench with a home in which other tools live. */
export interface Tools extends Bench {
	/** A tool's new login of an account of the fake, under the name that the tool has for it. */
	login(account: string, options?: { readonly name?: string; readonly expiresInMs?: number }): ToolLogin;
	/** Writes a tool's files for accounts of the fake, each with a new login, and gives the logins. */
	install(tool: Fixture, accounts: readonly string[]): Promise<ToolLogin[]>;
	/**
	 * Call it when the home is furnished; the function that it returns expects other people's files to be as they were.
	 */
	furnished(): () => void;
}

/** A bench whose accounts are known to the backend, and to us only where `options` says so. */
export async function createTools(
	accounts: readonly (FakeAccountInit | string)[],
	options: BenchOptions = {},
): Promise<Tools> {
	const usage = answers.serverError(503);
	const bench = await createBench({ usage, accounts: [], ...options, strangers: accounts });
	const login: Tools["login"] = (account, { name = account, ...lifetime } = {}) => {
		return { name, ...bench.codex.grant(account, lifetime) };
	};
	return {
		...bench,
		print: async (...args) => withoutPisWords(await bench.print(...args)),
		run: async (...args) => withoutPisWords(await bench.run(...args)),
		login,
		install: async (tool, names) => {
			const logins = names.map((name) => login(name));
			await writeTool(tool, bench.dir.home, logins);
			return logins;
		},
		furnished: () => {
			const before = treeOf(bench.dir.home);
			bench.excuse(before.keys());
			return () => expect(Object.fromEntries(treeOf(bench.dir.home))).toEqual(Object.fromEntries(before));
		},
	};
}

function withoutPisWords(result: PiResult): PiResult {
	return { ...result, stderr: besidesPi(result.stderr) };
}

/** Renews a login as its tool does, and gives the new one. */
export async function renewedByOwner({ codex }: Bench, login: ToolLogin): Promise<ToolLogin> {
	const response = await fetch(`${codex.issuer}/oauth/token`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ client_id: CLIENT_ID, grant_type: "refresh_token", refresh_token: login.refresh }),
	});
	const { access_token: access, refresh_token: refresh, expires_in } = JSON.parse(await response.text());
	return { ...login, access, refresh, expires: Date.now() + expires_in * 1000 };
}
