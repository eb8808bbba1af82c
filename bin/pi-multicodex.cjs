#!/usr/bin/env node
"use strict";

// Plain JavaScript, since Node runs it directly. In a package it loads the bundle; in a checkout the sources, if Node
// can strip types. A checkout may contain an older bundle, which is not used.

const { existsSync } = require("node:fs");
const { registerHooks } = require("node:module");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");

const root = join(__dirname, "..");
const sources = join(root, "src/cli");

/** Parts of pi that the sources import and a checkout does not contain. */
const STAND_INS = { "@mariozechner/pi-tui": pathToFileURL(join(sources, "terminal-text.ts")).href };

const UNSUPPORTED =
	`pi-multicodex: this is a checkout, which needs Node 22.18 or newer to run by itself (this is ${process.version}). ` +
	"The package from npm runs on Node 20.6: npm install -g pi-multicodex\n";

async function load() {
	if (!existsSync(sources)) return require("../dist/cli.cjs");
	if (!process.features.typescript || registerHooks === undefined) return undefined;
	registerHooks({
		resolve: (name, context, next) =>
			name in STAND_INS ? { url: STAND_INS[name], shortCircuit: true } : next(name, context),
	});
	return import(pathToFileURL(join(sources, "main.ts")).href);
}

function refuse(text) {
	process.stderr.write(text);
	process.exitCode = 1;
}

load().then(
	(program) => (program ? program.main(process.argv.slice(2)) : refuse(UNSUPPORTED)),
	// The error's message may quote anything.
	(error) =>
		refuse(`pi-multicodex could not start: ${error?.code ?? error?.name}. "npm install" in ${root} may help.\n`),
);
