// What kustomize makes of deploy/kubernetes is read into Kubernetes' own types, strictly: a field that
// no type knows, or of another type, is an error. Then what a benchmark rests on is checked.
package manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const root = "../../deploy/kubernetes/"

// manifests are the objects of an overlay by kind.
type manifests struct {
	namespaces   map[string]*core.Namespace
	services     map[string]*core.Service
	configs      map[string]*core.ConfigMap
	secrets      map[string]*core.Secret
	deployments  map[string]*apps.Deployment
	statefulSets map[string]*apps.StatefulSet
	daemonSets   map[string]*apps.DaemonSet
	jobs         map[string]*batch.Job
	podMonitors  map[string]*monitoring.PodMonitor
}

func decode[T any](t *testing.T, text []byte, name string, into *map[string]*T) {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict(text, object); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if *into == nil {
		*into = map[string]*T{}
	}
	(*into)[name] = object
}

func render(t *testing.T, folder string) *manifests {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	objects, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), root+folder)
	if err != nil {
		t.Fatal(err)
	}
	m := &manifests{}
	for _, object := range objects.Resources() {
		text, err := object.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := object.GetName()
		if object.GetKind() != "Namespace" && !strings.HasPrefix(object.GetNamespace(), "iubench") {
			t.Errorf("%s %s is in namespace %q", object.GetKind(), name, object.GetNamespace())
		}
		switch object.GetKind() {
		case "Namespace":
			decode(t, text, name, &m.namespaces)
		case "Service":
			decode(t, text, name, &m.services)
		case "ConfigMap":
			decode(t, text, name, &m.configs)
		case "Secret":
			decode(t, text, name, &m.secrets)
		case "Deployment":
			decode(t, text, name, &m.deployments)
		case "StatefulSet":
			decode(t, text, name, &m.statefulSets)
		case "DaemonSet":
			decode(t, text, name, &m.daemonSets)
		case "Job":
			decode(t, text, name, &m.jobs)
		case "PodMonitor":
			decode(t, text, name, &m.podMonitors)
		default:
			t.Errorf("no test knows a %s", object.GetKind())
		}
	}
	return m
}

// pods are all pod templates by the name of what makes them.
func (m *manifests) pods() map[string]core.PodTemplateSpec {
	pods := map[string]core.PodTemplateSpec{}
	for name, d := range m.deployments {
		pods[name] = d.Spec.Template
	}
	for name, s := range m.statefulSets {
		pods[name] = s.Spec.Template
	}
	for name, d := range m.daemonSets {
		pods[name] = d.Spec.Template
	}
	for name, j := range m.jobs {
		pods[name] = j.Spec.Template
	}
	return pods
}

func eachTest(t *testing.T, check func(t *testing.T, m *manifests)) {
	for _, folder := range []string{"overlays/video-test1", "overlays/video-test2"} {
		t.Run(filepath.Base(folder), func(t *testing.T) { check(t, render(t, folder)) })
	}
}

func expectQuantity(t *testing.T, what string, got resource.Quantity, want string) {
	t.Helper()
	if got.Cmp(resource.MustParse(want)) != 0 {
		t.Errorf("%s is %s, not %s", what, got.String(), want)
	}
}

func expectResources(t *testing.T, c core.Container, cpu, memory, cpuMost, memoryMost string) {
	t.Helper()
	expectQuantity(t, c.Name+": cpu requested", *c.Resources.Requests.Cpu(), cpu)
	expectQuantity(t, c.Name+": memory requested", *c.Resources.Requests.Memory(), memory)
	expectQuantity(t, c.Name+": cpu at most", *c.Resources.Limits.Cpu(), cpuMost)
	expectQuantity(t, c.Name+": memory at most", *c.Resources.Limits.Memory(), memoryMost)
}

// The published requests and limits, and nothing that would end a pod that is throttled.
func TestTargetIsAsPublished(t *testing.T) {
	eachTest(t, func(t *testing.T, m *manifests) {
		target := m.deployments["target"]
		if target == nil || *target.Spec.Replicas != 1 || target.Spec.Strategy.Type != apps.RecreateDeploymentStrategyType {
			t.Fatal("one replica, recreated")
		}
		c := target.Spec.Template.Spec.Containers[0]
		expectResources(t, c, "1500m", "2Gi", "2", "4Gi")
		if c.LivenessProbe != nil || c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Port.StrVal != "metrics" {
			t.Error("readiness is asked for on the port that is not measured, liveness never")
		}
		if m.services["target"].Spec.SessionAffinity != core.ServiceAffinityClientIP {
			t.Error("the published service has sessionAffinity ClientIP")
		}
		rules := target.Spec.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		if others := rules[0].LabelSelector.MatchExpressions[0].Values; !slices.Contains(others, "client") {
			t.Errorf("the target is alone on its machine, not beside any but %v", others)
		}
	})
}

// What is ours names the profile that allows io_uring; nobody else does.
func TestOnlyOurPodsMayUseIoUring(t *testing.T) {
	eachTest(t, func(t *testing.T, m *manifests) {
		for name, pod := range m.pods() {
			profile := pod.Spec.SecurityContext.SeccompProfile
			if strings.HasPrefix(pod.Spec.Containers[0].Image, "iubench:") {
				if profile.Type != core.SeccompProfileTypeLocalhost || *profile.LocalhostProfile != "iubench/iubench.json" {
					t.Errorf("%s: no profile that allows io_uring", name)
				}
			} else if profile.Type != core.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: %s", name, profile.Type)
			}
		}
	})
}

// As the Pod Security Standard "restricted" wants it, which the namespace enforces.
func TestPodsAreConfined(t *testing.T) {
	eachTest(t, func(t *testing.T, m *manifests) {
		if m.namespaces["iubench"].Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Error("the namespace does not enforce it")
		}
		for name, pod := range m.pods() {
			if s := pod.Spec.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || *pod.Spec.AutomountServiceAccountToken {
				t.Errorf("%s may be root, or has a token", name)
			}
			for _, c := range append(pod.Spec.Containers, pod.Spec.InitContainers...) {
				s := c.SecurityContext
				if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
					t.Errorf("%s/%s is not confined", name, c.Name)
				}
				if c.Resources.Limits.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s/%s has no limits", name, c.Name)
				}
				if strings.HasSuffix(c.Image, ":latest") || !strings.Contains(c.Image, ":") {
					t.Errorf("%s/%s: which version is %s?", name, c.Name, c.Image)
				}
			}
			for _, volume := range pod.Spec.Volumes {
				if volume.HostPath != nil {
					t.Errorf("%s mounts the host's %s", name, volume.HostPath.Path)
				}
			}
		}
	})
}

// Each pod is one shard of the schedule, knows which, and is lost alone.
func TestClientsAreShards(t *testing.T) {
	clients := map[string]int32{"video-test1": 14, "video-test2": 10}
	eachTest(t, func(t *testing.T, m *manifests) {
		job, count := m.jobs["client"].Spec, clients[filepath.Base(t.Name())]
		if *job.CompletionMode != batch.IndexedCompletion || *job.Completions != count || *job.Parallelism != count {
			t.Errorf("%s, %d of %d at once", *job.CompletionMode, *job.Parallelism, *job.Completions)
		}
		if *job.BackoffLimitPerIndex != 0 || job.Template.Spec.RestartPolicy != core.RestartPolicyNever {
			t.Error("a shard would run twice, or end the others")
		}
		c := job.Template.Spec.Containers[0]
		expectResources(t, c, "1", "1Gi", "1", "1Gi")
		for _, word := range []string{fmt.Sprintf("--shard=$(JOB_COMPLETION_INDEX)/%d", count), "--start-at=START_AT", "--json=-"} {
			if !slices.Contains(c.Args, word) {
				t.Errorf("%s is not among %q", word, c.Args)
			}
		}
		if env := c.Env[0]; env.Name != "JOB_COMPLETION_INDEX" ||
			env.ValueFrom.FieldRef.FieldPath != "metadata.annotations['"+batch.JobCompletionIndexAnnotation+"']" {
			t.Error("a pod does not know its index")
		}
	})
}

// Every monitor selects a pod and a port that there are; so does every service.
func TestSelectorsMeet(t *testing.T) {
	eachTest(t, func(t *testing.T, m *manifests) {
		portOf := func(labels map[string]string, port string) bool {
			for _, pod := range m.pods() {
				name := pod.Labels["app.kubernetes.io/name"]
				if name != "" && name == labels["app.kubernetes.io/name"] {
					return slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p core.ContainerPort) bool { return p.Name == port })
				}
			}
			return false
		}
		if len(m.podMonitors) != 2 {
			t.Errorf("%d monitors", len(m.podMonitors))
		}
		for name, monitor := range m.podMonitors {
			endpoint := monitor.Spec.PodMetricsEndpoints[0]
			if !portOf(monitor.Spec.Selector.MatchLabels, *endpoint.Port) || endpoint.Interval != "5s" {
				t.Errorf("monitor %s finds nothing every 5 s", name)
			}
		}
		for name, service := range m.services {
			if !portOf(service.Spec.Selector, service.Spec.Ports[0].TargetPort.StrVal) {
				t.Errorf("service %s finds nothing", name)
			}
		}
	})
}

// The dashboard is where Grafana's sidecar looks.
func TestDashboardIsFound(t *testing.T) {
	eachTest(t, func(t *testing.T, m *manifests) {
		config := m.configs["grafana-dashboard"]
		if config == nil || config.Labels["grafana_dashboard"] != "1" || !strings.Contains(config.Data["iubench.json"], `"title"`) {
			t.Error("there is no dashboard")
		}
	})
}

// Test 2 has its stores, with the published settings; test 1 needs none.
func TestStoresAreAsPublished(t *testing.T) {
	if m := render(t, "overlays/video-test1"); len(m.statefulSets) != 0 || m.deployments["memcached"] != nil {
		t.Error("test 1 starts stores")
	}
	m := render(t, "overlays/video-test2")
	memcached := m.deployments["memcached"].Spec.Template.Spec.Containers[0]
	if strings.Join(memcached.Args, " ") != "-m 4096 -c 10000 -t 4" {
		t.Errorf("memcached %q", memcached.Args)
	}
	postgres := m.statefulSets["postgres"].Spec.Template.Spec
	config := ""
	for _, volume := range postgres.Volumes {
		if volume.ConfigMap != nil {
			config = m.configs[volume.ConfigMap.Name].Data["postgresql.conf"]
		}
	}
	for _, line := range []string{"max_connections = 1050", "shared_buffers = 16GB", "work_mem = 3994kB", "max_wal_size = 4GB"} {
		if !strings.Contains(config, line+"\n") {
			t.Errorf("postgresql.conf lacks %q", line)
		}
	}
	if strings.Contains(config, "synchronous_commit") || strings.Contains(config, "fsync") {
		t.Error("durability was at its default")
	}
	if !strings.HasPrefix(postgres.Containers[0].Image, "postgres:17.2") {
		t.Error(postgres.Containers[0].Image)
	}
	for _, env := range m.deployments["target"].Spec.Template.Spec.Containers[0].Env {
		if env.ValueFrom != nil && m.secrets[env.ValueFrom.SecretKeyRef.Name] == nil {
			t.Errorf("%s: there is no secret %s", env.Name, env.ValueFrom.SecretKeyRef.Name)
		}
	}
}

// The profile reaches the folder that the pods name it in, as it stands in deploy/seccomp.
func TestProfileIsInstalled(t *testing.T) {
	m := render(t, "seccomp")
	pod := m.daemonSets["seccomp-installer"].Spec.Template.Spec
	var profile, folder string
	for _, volume := range pod.Volumes {
		if volume.ConfigMap != nil {
			profile = m.configs[volume.ConfigMap.Name].Data["iubench.json"]
		} else {
			folder = volume.HostPath.Path
		}
	}
	if want, err := os.ReadFile("../../deploy/seccomp/iubench.json"); err != nil || profile != string(want) {
		t.Error("another profile than deploy/seccomp has", err)
	}
	if folder != "/var/lib/kubelet/seccomp/iubench" {
		t.Error(folder)
	}
}
