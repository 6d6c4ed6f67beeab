// Command orasgo does with oras-go, the library under the oras command, what the tests ask of that command.
// Every verb prints one JSON value; registries are spoken to over plain HTTP.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

const usage = `usage:
  orasgo push REFERENCE TYPE FILE...     push files as one artifact
  orasgo pull REFERENCE FOLDER           write an artifact's files into a folder
  orasgo copy SOURCE TARGET              copy within a registry, mounting what it can
  orasgo copy-graph SOURCE TARGET        the same, with everything that refers to it
  orasgo attach REFERENCE TYPE FILE...   push files as an artifact about another
  orasgo discover REFERENCE [TYPE]       list what is about a manifest
  orasgo resolve REFERENCE               describe a manifest
  orasgo delete REFERENCE                delete a manifest
  orasgo tags REPOSITORY                 list tags
  orasgo repositories REGISTRY           list repositories
  orasgo login REGISTRY NAME PASSWORD    sign in, and keep that in $DOCKER_CONFIG as the oras command does
  orasgo logout REGISTRY                 forget it`

func main() {
	answer, err := run(context.Background(), os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "orasgo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, words []string) (any, error) {
	if len(words) < 2 {
		return nil, errors.New(usage)
	}
	verb, name, rest := words[0], words[1], words[2:]
	switch {
	case verb == "repositories":
		return repositories(ctx, name)
	case verb == "login" && len(rest) == 2:
		return nil, login(ctx, name, rest[0], rest[1])
	case verb == "logout":
		return nil, logout(ctx, name)
	}
	target, err := repository(name)
	if err != nil {
		return nil, err
	}
	switch {
	case verb == "push" && len(rest) > 1:
		return push(ctx, target, rest[0], rest[1:], nil)
	case verb == "attach" && len(rest) > 1:
		return attach(ctx, target, rest[0], rest[1:])
	case verb == "pull" && len(rest) == 1:
		return pull(ctx, target, rest[0])
	case verb == "copy" && len(rest) == 1:
		return copyWithin(ctx, target, rest[0], false)
	case verb == "copy-graph" && len(rest) == 1:
		return copyWithin(ctx, target, rest[0], true)
	case verb == "discover" && len(rest) < 2:
		return discover(ctx, target, rest)
	case verb == "resolve" && len(rest) == 0:
		return target.Resolve(ctx, target.Reference.Reference)
	case verb == "delete" && len(rest) == 0:
		return remove(ctx, target)
	case verb == "tags" && len(rest) == 0:
		return registry.Tags(ctx, target)
	}
	return nil, errors.New(usage)
}

func repository(name string) (*remote.Repository, error) {
	found, err := remote.NewRepository(name)
	if err != nil {
		return nil, err
	}
	found.PlainHTTP = true
	found.Client, err = client()
	return found, err
}

func client() (*auth.Client, error) {
	known, err := store()
	if err != nil {
		return nil, err
	}
	found := auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(known)}
	return &found, nil
}

func store() (credentials.Store, error) {
	return credentials.NewStoreFromDocker(credentials.StoreOptions{AllowPlaintextPut: true})
}

func login(ctx context.Context, host, name, password string) error {
	known, err := store()
	if err != nil {
		return err
	}
	target, err := remote.NewRegistry(host)
	if err != nil {
		return err
	}
	target.PlainHTTP = true
	return credentials.Login(ctx, known, target, auth.Credential{Username: name, Password: password})
}

func logout(ctx context.Context, host string) error {
	known, err := store()
	if err != nil {
		return err
	}
	return credentials.Logout(ctx, known, host)
}

func repositories(ctx context.Context, name string) ([]string, error) {
	found, err := remote.NewRegistry(name)
	if err != nil {
		return nil, err
	}
	found.PlainHTTP = true
	if found.Client, err = client(); err != nil {
		return nil, err
	}
	return registry.Repositories(ctx, found)
}

func push(
	ctx context.Context, target *remote.Repository, kind string, names []string, subject *ocispec.Descriptor,
) (ocispec.Descriptor, error) {
	none := ocispec.Descriptor{}
	files, err := file.New("")
	if err != nil {
		return none, err
	}
	defer files.Close()
	options := oras.PackManifestOptions{
		Subject: subject,
		// A fixed time, so that the same files are the same artifact.
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"},
	}
	for _, name := range names {
		layer, err := files.Add(ctx, filepath.Base(name), "", name)
		if err != nil {
			return none, err
		}
		options.Layers = append(options.Layers, layer)
	}
	root, err := oras.PackManifest(ctx, files, oras.PackManifestVersion1_1, kind, options)
	if err != nil {
		return none, err
	}
	tag := target.Reference.Reference
	if subject != nil {
		tag = root.Digest.String()
	}
	if err := files.Tag(ctx, root, tag); err != nil {
		return none, err
	}
	return oras.Copy(ctx, files, tag, target, tag, oras.DefaultCopyOptions)
}

func attach(ctx context.Context, target *remote.Repository, kind string, names []string) (ocispec.Descriptor, error) {
	subject, err := target.Resolve(ctx, target.Reference.Reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return push(ctx, target, kind, names, &subject)
}

func pull(ctx context.Context, source *remote.Repository, folder string) (ocispec.Descriptor, error) {
	files, err := file.New(folder)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer files.Close()
	reference := source.Reference.Reference
	return oras.Copy(ctx, source, reference, files, reference, oras.DefaultCopyOptions)
}

func copyWithin(ctx context.Context, source *remote.Repository, name string, graph bool) (ocispec.Descriptor, error) {
	target, err := repository(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	options := oras.DefaultExtendedCopyOptions
	options.MountFrom = func(context.Context, ocispec.Descriptor) ([]string, error) {
		return []string{source.Reference.Repository}, nil
	}
	from, to := source.Reference.Reference, target.Reference.Reference
	if graph {
		return oras.ExtendedCopy(ctx, source, from, target, to, options)
	}
	return oras.Copy(ctx, source, from, target, to, oras.CopyOptions{CopyGraphOptions: options.CopyGraphOptions})
}

func discover(ctx context.Context, target *remote.Repository, kind []string) ([]ocispec.Descriptor, error) {
	subject, err := target.Resolve(ctx, target.Reference.Reference)
	if err != nil {
		return nil, err
	}
	return registry.Referrers(ctx, target, subject, append(kind, "")[0])
}

func remove(ctx context.Context, target *remote.Repository) (ocispec.Descriptor, error) {
	found, err := target.Resolve(ctx, target.Reference.Reference)
	if err != nil {
		return found, err
	}
	return found, target.Delete(ctx, found)
}
