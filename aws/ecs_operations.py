"""Every ECS operation on one screen: what does it, and the resource on which the action `ecs:<Operation>` counts."""

from collections.abc import Mapping
from types import MappingProxyType

from aws import (
    ecs_account_settings,
    ecs_attributes,
    ecs_clusters,
    ecs_definitions,
    ecs_instances,
    ecs_launches,
    ecs_resources,
    ecs_service_deployments,
    ecs_services,
    ecs_tags,
    ecs_tasks,
)
from aws.call import Operation
from aws.ecs_resources import in_cluster, of_resource
from aws.resources import anything

ECS: Mapping[str, Operation] = MappingProxyType(
    {
        "CreateCluster": Operation(ecs_clusters.create_cluster, ecs_resources.new_cluster, of_resource),
        "CreateService": Operation(ecs_services.create_service, ecs_resources.service, in_cluster),
        "DeleteAccountSetting": Operation(ecs_account_settings.delete_account_setting, anything),
        "DeleteAttributes": Operation(ecs_attributes.delete_attributes, ecs_resources.cluster, in_cluster),
        "DeleteCluster": Operation(ecs_clusters.delete_cluster, ecs_resources.cluster, in_cluster),
        "DeleteService": Operation(ecs_services.delete_service, ecs_resources.service, in_cluster),
        "DeleteTaskDefinitions": Operation(ecs_definitions.delete_task_definitions, ecs_resources.definitions),
        "DeregisterContainerInstance": Operation(
            ecs_instances.deregister_container_instance, ecs_resources.cluster, in_cluster
        ),
        "DeregisterTaskDefinition": Operation(ecs_definitions.deregister_task_definition, anything),
        "DescribeClusters": Operation(ecs_clusters.describe_clusters, ecs_resources.clusters, of_resource),
        "DescribeContainerInstances": Operation(
            ecs_instances.describe_container_instances, ecs_resources.instances, in_cluster
        ),
        "DescribeServiceDeployments": Operation(
            ecs_service_deployments.describe_service_deployments, ecs_resources.given_arns, of_resource
        ),
        "DescribeServiceRevisions": Operation(
            ecs_service_deployments.describe_service_revisions, ecs_resources.given_arns, of_resource
        ),
        "DescribeServices": Operation(ecs_services.describe_services, ecs_resources.services, in_cluster),
        "DescribeTaskDefinition": Operation(ecs_definitions.describe_task_definition, anything),
        "DescribeTasks": Operation(ecs_tasks.describe_tasks, ecs_resources.tasks, in_cluster),
        "ListAccountSettings": Operation(ecs_account_settings.list_account_settings, anything),
        "ListAttributes": Operation(ecs_attributes.list_attributes, ecs_resources.cluster, in_cluster),
        "ListClusters": Operation(ecs_clusters.list_clusters, anything),
        "ListContainerInstances": Operation(ecs_instances.list_container_instances, ecs_resources.cluster, in_cluster),
        "ListServiceDeployments": Operation(
            ecs_service_deployments.list_service_deployments, ecs_resources.service, in_cluster
        ),
        "ListServices": Operation(ecs_services.list_services, anything, in_cluster),
        "ListTagsForResource": Operation(ecs_tags.list_tags_for_resource, ecs_resources.given_arns, of_resource),
        "ListTaskDefinitionFamilies": Operation(ecs_definitions.list_task_definition_families, anything),
        "ListTaskDefinitions": Operation(ecs_definitions.list_task_definitions, anything),
        "ListTasks": Operation(ecs_tasks.list_tasks, anything, in_cluster),
        "PutAccountSetting": Operation(ecs_account_settings.put_account_setting, anything),
        "PutAccountSettingDefault": Operation(ecs_account_settings.put_account_setting_default, anything),
        "PutAttributes": Operation(ecs_attributes.put_attributes, ecs_resources.cluster, in_cluster),
        "RegisterContainerInstance": Operation(
            ecs_instances.register_container_instance, ecs_resources.cluster, in_cluster
        ),
        "RegisterTaskDefinition": Operation(ecs_definitions.register_task_definition, ecs_resources.new_definition),
        "RunTask": Operation(ecs_launches.run_task, ecs_resources.definition, in_cluster),
        "StartTask": Operation(ecs_launches.start_task, ecs_resources.definition, in_cluster),
        "StopServiceDeployment": Operation(
            ecs_service_deployments.stop_service_deployment, ecs_resources.given_arns, of_resource
        ),
        "StopTask": Operation(ecs_tasks.stop_task, ecs_resources.task, in_cluster),
        "TagResource": Operation(ecs_tags.tag_resource, ecs_resources.given_arns, of_resource),
        "UntagResource": Operation(ecs_tags.untag_resource, ecs_resources.given_arns, of_resource),
        "UpdateCluster": Operation(ecs_clusters.update_cluster, ecs_resources.cluster, in_cluster),
        "UpdateClusterSettings": Operation(ecs_clusters.update_cluster_settings, ecs_resources.cluster, in_cluster),
        "UpdateContainerInstancesState": Operation(
            ecs_instances.update_container_instances_state, ecs_resources.instances, in_cluster
        ),
        "UpdateService": Operation(ecs_services.update_service, ecs_resources.service, in_cluster),
    }
)
