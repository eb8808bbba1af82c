import { basename, isAbsolute, join, resolve } from "node:path";
import * as z from "zod/mini";
import { lenient, lenientOrNull } from "../../../platform/lenient.ts";
import type { Finding } from "../rules.ts";
import { leftOut, readCodexFile, readCodexHome } from "./codex-file.ts";
import { expanded, namesIn, objectSchema, readJsonFile, readTomlFile } from "./files.ts";
import type { ImportSource, Places } from "./source.ts";

/** Codex CLI: `$CODEX_HOME/auth.json`, else `~/.codex/auth.json`. */
export const codexCli: ImportSource = {
	tool: "codex",
	find: (places) => readCodexHome(codexHomeOf(places), { tool: "codex", name: undefined }),
};

function codexHomeOf({ home, env }: Places): string {
	return env.CODEX_HOME || join(home, ".codex");
}

/** Files beside the snapshots that hold no login. */
const NO_SNAPSHOTS = new Set(["registry.json", "sessions.json"]);

/**
 * codex-auth, two tools with the same name: snapshots `<key>.auth.json` (key often base64url of `<user>::<account>`)
 * and `<name>.json` in `accounts` of the Codex home. Only one of the two reads `CODEX_HOME`.
 */
export const codexAuth: ImportSource = {
	tool: "codex-auth",
	find: async (places) => {
		const homes = new Set([codexHomeOf(places), join(places.home, ".codex")]);
		const folders = [...homes].map((home) => join(home, "accounts"));
		return (await Promise.all(folders.map(snapshotsIn))).flat();
	},
};

async function snapshotsIn(folder: string): Promise<Finding[]> {
	const aliases = await aliasesIn(join(folder, "registry.json"));
	const names = (await namesIn(folder)).filter((name) => name.endsWith(".json") && !NO_SNAPSHOTS.has(name));
	const found = names.map((name) => {
		const key = name.replace(/(\.auth)?\.json$/, "");
		const named = aliases.get(key) ?? aliases.get(Buffer.from(key, "base64url").toString("utf8"));
		const spoken = named ?? (name.endsWith(".auth.json") ? undefined : key);
		return readCodexFile({ tool: "codex-auth", path: join(folder, name), name: spoken });
	});
	return (await Promise.all(found)).filter((finding) => finding !== undefined);
}

const registrySchema = z.object({
	accounts: z.array(lenient(z.object({ account_key: z.string(), alias: z.string().check(z.minLength(1)) }))),
});

/** Returns the person's name for each account, by key. */
async function aliasesIn(registry: string): Promise<Map<string, string>> {
	const file = await readJsonFile(registry);
	const { data } = registrySchema.safeParse(file.kind === "read" ? file.content : undefined);
	const named = (data?.accounts ?? []).filter((account) => account !== undefined);
	return new Map(named.map(({ account_key, alias }) => [account_key, alias]));
}

/** codex-account-orchestrator: `~/.codex-account-orchestrator/<name>`, each a Codex home. */
export const orchestrator: ImportSource = {
	tool: "codex-account-orchestrator",
	find: async ({ home }) => {
		const folder = join(home, ORCHESTRATOR);
		const homes = (await namesIn(folder)).map((name) =>
			readCodexHome(join(folder, name), { tool: "codex-account-orchestrator", name }),
		);
		return (await Promise.all(homes)).flat();
	},
};

const ORCHESTRATOR = ".codex-account-orchestrator";

const targetsSchema = z.object({
	targets: z.catch(z.array(lenient(z.object({ codex_home: z.string().check(z.minLength(1)) }))), []),
});

/** codex-hotswap: `~/.codex-<name>`, or the folder that its configuration names. */
export const hotswap: ImportSource = {
	tool: "codex-hotswap",
	find: async ({ home }) => {
		const config = await readTomlFile(join(home, ".config", "codex-hotswap", "config.toml"));
		const { targets } = targetsSchema.parse(config);
		const named = targets.flatMap((target) => (target ? [resolve(home, expanded(target.codex_home, home))] : []));
		const usual = (await namesIn(home))
			.filter((name) => name.startsWith(".codex-") && name !== ORCHESTRATOR)
			.map((name) => join(home, name));
		const folders = new Set([...named, ...usual]);
		const homes = [...folders].map((folder) =>
			readCodexHome(folder, { tool: "codex-hotswap", name: basename(folder).replace(/^\.codex-/, "") }),
		);
		return (await Promise.all(homes)).flat();
	},
};

const profileSchema = z.object({
	codex_home: z.string().check(z.minLength(1)),
	provider: lenientOrNull(z.object({ provider_kind: z.string() })),
});

/** prodex: the profiles named in its `state.json`, wherever they are, and those in `profiles`. */
export const prodex: ImportSource = {
	tool: "prodex",
	find: async ({ home, env }) => {
		const root = resolve(env.PRODEX_HOME || join(home, ".prodex"));
		const state = await readJsonFile(join(root, "state.json"));
		const { data } = z.object({ profiles: objectSchema }).safeParse(state.kind === "read" ? state.content : undefined);
		const found: Finding[] = [];
		if (state.kind === "unreadable") {
			found.push(leftOut({ tool: "prodex", path: join(root, "state.json"), name: undefined }, state.reason));
		}
		const seen = new Set<string>();
		for (const [name, raw] of Object.entries(data?.profiles ?? {})) {
			const { data: profile } = profileSchema.safeParse(raw);
			if (!profile) continue;
			const folder = isAbsolute(profile.codex_home) ? profile.codex_home : join(root, profile.codex_home);
			seen.add(folder);
			const kind = profile.provider?.provider_kind ?? "openai";
			if (kind === "openai") found.push(...(await readCodexHome(folder, { tool: "prodex", name })));
			else found.push(leftOut({ tool: "prodex", path: folder, name }, "is a profile of another provider"));
		}
		const profiles = join(root, "profiles");
		for (const name of await namesIn(profiles)) {
			const folder = join(profiles, name);
			if (!seen.has(folder)) found.push(...(await readCodexHome(folder, { tool: "prodex", name })));
		}
		return found;
	},
};
