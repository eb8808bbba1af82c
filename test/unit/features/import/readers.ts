import { join } from "node:path";
import type { ToolName } from "../../../../src/core/account-source.ts";
import type { Finding } from "../../../../src/features/import/rules.ts";
import { createImportFinder } from "../../../../src/features/import/tools/finder.ts";
import { aTokenOf, DAY_MS, type FakeClaims, NOW } from "../../../support/fakes.ts";
import type { ToolLogin } from "../../../support/import-fixtures.ts";

/** Part of every token here, so that a list can be searched for any of them. */
const MARK = "SECRET";

/** A sign-in as a tool keeps it. */
export function aLogin(name: string, overrides: Partial<ToolLogin> & { readonly claims?: FakeClaims } = {}): ToolLogin {
	const { claims, ...rest } = overrides;
	return {
		name,
		access: `${aTokenOf(name, claims)}${MARK}`,
		refresh: `rt_${MARK}_${name}`,
		expires: NOW + 10 * DAY_MS,
		...rest,
	};
}

/** What is looked for: everything one tool keeps, everything of all, or what lies at a path. */
export interface Search {
	readonly home: string;
	readonly env?: Readonly<Record<string, string>>;
	readonly tool?: ToolName;
	readonly path?: string;
}

export const piAuthIn = (home: string) => join(home, ".pi/agent/auth.json");

/** Searches in this process. */
export async function search({ home, env = {}, tool, path }: Search): Promise<Finding[] | undefined> {
	const finder = createImportFinder({ home, env }, piAuthIn(home));
	const found = path === undefined ? await finder.find(tool) : await finder.read(path);
	expectNoSecrets(found);
	return found;
}

/** Nothing but the credential itself may hold a token: all else is shown. */
export function expectNoSecrets(found: readonly Finding[] | undefined): void {
	const shown = (found ?? []).map((finding) => ({ ...finding, credential: undefined }));
	if (JSON.stringify(shown).includes(MARK)) throw new Error("a finding shows a token");
}

/** The sign-ins among findings, as `<name>: <refresh token>`. */
export function loginsOf(found: readonly Finding[] | undefined): string[] {
	return (found ?? []).flatMap((each) =>
		each.kind === "login" ? [`${each.name ?? "-"}: ${each.credential.refresh.replace(`rt_${MARK}_`, "")}`] : [],
	);
}

/** What was left out, as `<name> <reason>`. */
export function reasonsOf(found: readonly Finding[] | undefined): string[] {
	return (found ?? []).flatMap((each) => (each.kind === "left-out" ? [`${each.name ?? "-"} ${each.reason}`] : []));
}
