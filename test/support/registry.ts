import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";

/** A package registry on this machine that knows one package. Everything else is not found: nothing is passed on. */
export interface Registry {
	readonly url: string;
	/** Adds a version, which becomes the latest. */
	publish(version: string, tarball: string, manifest: Readonly<Record<string, unknown>>): void;
	/** Names that were asked for and are not here. */
	readonly missing: readonly string[];
	close(): Promise<void>;
}

/** Starts a {@link Registry} for the package called `name`. */
export async function startRegistry(name: string): Promise<Registry> {
	const tarballs = new Map<string, Buffer>();
	const versions: Record<string, unknown> = {};
	const missing: string[] = [];
	let latest = "";
	const server = createServer((request, response) => {
		const path = decodeURIComponent((request.url ?? "").replace(/\?.*/, ""));
		const tarball = tarballs.get(path);
		if (tarball) return void response.writeHead(200).end(tarball);
		if (path === `/${name}`) {
			response.writeHead(200, { "content-type": "application/json" });
			return void response.end(JSON.stringify({ name, "dist-tags": { latest }, versions, time: {} }));
		}
		missing.push(path);
		response.writeHead(404, { "content-type": "application/json" }).end("{}");
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	const url = `http://127.0.0.1:${port}`;
	return {
		url,
		missing,
		publish: (version, tarball, manifest) => {
			const bytes = readFileSync(tarball);
			const path = `/${name}/-/${basename(tarball)}`;
			const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
			tarballs.set(path, bytes);
			versions[version] = { ...manifest, version, dist: { tarball: `${url}${path}`, integrity } };
			latest = version;
		},
		close: () =>
			new Promise((resolve) => {
				server.closeAllConnections();
				server.close(() => resolve());
			}),
	};
}
