import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A service on loopback whose certificate no program trusts. */
export interface Untrusted {
	readonly url: string;
	/** Requests that came through all the same. */
	asked(): number;
	close(): Promise<void>;
}

/** Starts one, with a certificate made for this run. */
export async function startUntrusted(): Promise<Untrusted> {
	const folder = mkdtempSync(join(tmpdir(), "multicodex-unit-"));
	const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
	const how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost";
	execFileSync("openssl", [...how.split(" "), "-keyout", key, "-out", cert], { stdio: "ignore" });
	let asked = 0;
	const server: Server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
		asked += 1;
		response.end("{}");
	});
	rmSync(folder, { recursive: true });
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	const port = typeof address === "object" && address ? address.port : 0;
	return {
		url: `https://127.0.0.1:${port}`,
		asked: () => asked,
		close: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		},
	};
}
